NAME optimal-split-layer0
ROWS
 N objective
 G C1[0]
 G C1[1]
 G C1[2]
 E C2[0]
 E C2[1]
 E D6[0]
 E D6[1]
 E D6[2]
 E D6[3]
 E D6[4]
 E D6[5]
 L D7[0]
 L D7[1]
 L D7[2]
 L D7[3]
 L D7[4]
 L D7[5]
 L D7[6]
 L D7[7]
 L D7[8]
 L D7[9]
 L D7[10]
 L D7[11]
 L D5[0]
 L D5[1]
 L D5[2]
 L D5[3]
 G S1[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 n[0,0,0] objective 0
 n[0,0,0] C1[0] 1
 n[0,0,0] C2[0] 1
 n[0,0,0] D7[0] -1
 n[0,0,0] D7[6] -1
 n[0,0,0] S1[0] 4
 n[0,0,1] objective 0
 n[0,0,1] C1[0] 1
 n[0,0,1] C2[1] 1
 n[0,0,1] D7[1] -1
 n[0,0,1] D7[7] -1
 n[0,0,1] S1[0] -4
 n[0,1,0] objective 0
 n[0,1,0] C1[1] 1
 n[0,1,0] C2[0] 1
 n[0,1,0] D7[2] -1
 n[0,1,0] D7[8] -1
 n[0,1,0] S1[0] 2
 n[0,1,1] objective 0
 n[0,1,1] C1[1] 1
 n[0,1,1] C2[1] 1
 n[0,1,1] D7[3] -1
 n[0,1,1] D7[9] -1
 n[0,1,1] S1[0] -2
 n[0,2,0] objective 0
 n[0,2,0] C1[2] 1
 n[0,2,0] C2[0] 1
 n[0,2,0] D7[4] -1
 n[0,2,0] D7[10] -1
 n[0,2,0] S1[0] 1
 n[0,2,1] objective 0
 n[0,2,1] C1[2] 1
 n[0,2,1] C2[1] 1
 n[0,2,1] D7[5] -1
 n[0,2,1] D7[11] -1
 n[0,2,1] S1[0] -1
 MARKER1 'MARKER' 'INTEND'
 t[0,0] objective 2
 t[0,0] D5[0] -1
 t[0,0] D5[1] -1
 t[1,0] objective 2
 t[1,0] D5[2] -1
 t[1,0] D5[3] -1
 q[0,0,0,0] objective 0
 q[0,0,0,0] D6[0] 1
 q[0,0,0,0] D7[0] 1
 q[0,0,0,0] D5[0] 2
 q[0,0,0,1] objective 0
 q[0,0,0,1] D6[0] 1
 q[0,0,0,1] D7[1] 1
 q[0,0,0,1] D5[1] 2
 q[0,0,1,0] objective 0
 q[0,0,1,0] D6[1] 1
 q[0,0,1,0] D7[2] 1
 q[0,0,1,0] D5[0] 0.5
 q[0,0,1,1] objective 0
 q[0,0,1,1] D6[1] 1
 q[0,0,1,1] D7[3] 1
 q[0,0,1,1] D5[1] 0.5
 q[0,0,2,0] objective 0
 q[0,0,2,0] D6[2] 1
 q[0,0,2,0] D7[4] 1
 q[0,0,2,0] D5[0] 0.5
 q[0,0,2,1] objective 0
 q[0,0,2,1] D6[2] 1
 q[0,0,2,1] D7[5] 1
 q[0,0,2,1] D5[1] 0.5
 q[1,0,0,0] objective 0
 q[1,0,0,0] D6[3] 1
 q[1,0,0,0] D7[6] 1
 q[1,0,0,0] D5[2] 0.25
 q[1,0,0,1] objective 0
 q[1,0,0,1] D6[3] 1
 q[1,0,0,1] D7[7] 1
 q[1,0,0,1] D5[3] 0.25
 q[1,0,1,0] objective 0
 q[1,0,1,0] D6[4] 1
 q[1,0,1,0] D7[8] 1
 q[1,0,1,0] D5[2] 1.5
 q[1,0,1,1] objective 0
 q[1,0,1,1] D6[4] 1
 q[1,0,1,1] D7[9] 1
 q[1,0,1,1] D5[3] 1.5
 q[1,0,2,0] objective 0
 q[1,0,2,0] D6[5] 1
 q[1,0,2,0] D7[10] 1
 q[1,0,2,0] D5[2] 1.25
 q[1,0,2,1] objective 0
 q[1,0,2,1] D6[5] 1
 q[1,0,2,1] D7[11] 1
 q[1,0,2,1] D5[3] 1.25
RHS
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C1[2] 1
 RHS C2[0] 2
 RHS C2[1] 2
 RHS D6[0] 1
 RHS D6[1] 1
 RHS D6[2] 1
 RHS D6[3] 1
 RHS D6[4] 1
 RHS D6[5] 1
RANGES
BOUNDS
 UP BOUND n[0,0,0] 1
 UP BOUND n[0,0,1] 1
 UP BOUND n[0,1,0] 1
 UP BOUND n[0,1,1] 1
 UP BOUND n[0,2,0] 1
 UP BOUND n[0,2,1] 1
 UP BOUND q[0,0,0,0] 1
 UP BOUND q[0,0,0,1] 1
 UP BOUND q[0,0,1,0] 1
 UP BOUND q[0,0,1,1] 1
 UP BOUND q[0,0,2,0] 1
 UP BOUND q[0,0,2,1] 1
 UP BOUND q[1,0,0,0] 1
 UP BOUND q[1,0,0,1] 1
 UP BOUND q[1,0,1,0] 1
 UP BOUND q[1,0,1,1] 1
 UP BOUND q[1,0,2,0] 1
 UP BOUND q[1,0,2,1] 1
ENDATA
