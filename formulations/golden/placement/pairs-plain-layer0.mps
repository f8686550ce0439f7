NAME pairs-plain-layer0
ROWS
 N objective
 G C1[0]
 G C1[1]
 G C1[2]
 G C1[3]
 E C2[0]
 L C2[1]
 E C2[2]
 L C3[0]
 L C3[1]
 L C3[2]
 L C3[3]
 L C3[4]
 L C3[5]
 L C3[6]
 L C3[7]
 L C3[8]
 L C3[9]
 L C3[10]
 L C3[11]
 G C6[0]
 G C6[1]
 L C7[0]
 L C8[0]
 L D5[0]
 L D5[1]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 n[0,0,0] objective 0
 n[0,0,0] C1[0] 1
 n[0,0,0] C2[0] 1
 n[0,0,0] C3[0] 1
 n[0,0,0] C6[0] 1
 n[0,0,0] D5[0] 1
 n[0,0,1] objective 0
 n[0,0,1] C1[0] 1
 n[0,0,1] C2[1] 1
 n[0,0,1] C3[1] 1
 n[0,0,1] C8[0] 1
 n[0,0,2] objective 0
 n[0,0,2] C1[0] 1
 n[0,0,2] C2[2] 1
 n[0,0,2] C3[2] 1
 n[0,0,2] D5[1] 1
 n[0,1,0] objective 0
 n[0,1,0] C1[1] 1
 n[0,1,0] C2[0] 1
 n[0,1,0] C3[3] 1
 n[0,1,0] C6[1] 1
 n[0,1,0] D5[0] 1
 n[0,1,1] objective 0
 n[0,1,1] C1[1] 1
 n[0,1,1] C2[1] 1
 n[0,1,1] C3[4] 1
 n[0,1,1] C8[0] 1
 n[0,1,2] objective 0
 n[0,1,2] C1[1] 1
 n[0,1,2] C2[2] 1
 n[0,1,2] C3[5] 1
 n[0,1,2] D5[1] 1
 n[0,2,0] objective 0
 n[0,2,0] C1[2] 1
 n[0,2,0] C2[0] 1
 n[0,2,0] C3[6] 1
 n[0,2,0] C7[0] 1
 n[0,2,0] D5[0] 1
 n[0,2,1] objective 0
 n[0,2,1] C1[2] 1
 n[0,2,1] C2[1] 1
 n[0,2,1] C3[7] 1
 n[0,2,1] C8[0] 1
 n[0,2,2] objective 0
 n[0,2,2] C1[2] 1
 n[0,2,2] C2[2] 1
 n[0,2,2] C3[8] 1
 n[0,2,2] D5[1] 1
 n[0,3,0] objective 0
 n[0,3,0] C1[3] 1
 n[0,3,0] C2[0] 1
 n[0,3,0] C3[9] 1
 n[0,3,0] D5[0] 1
 n[0,3,1] objective 0
 n[0,3,1] C1[3] 1
 n[0,3,1] C2[1] 1
 n[0,3,1] C3[10] 1
 n[0,3,1] C8[0] 1
 n[0,3,2] objective 0
 n[0,3,2] C1[3] 1
 n[0,3,2] C2[2] 1
 n[0,3,2] C3[11] 1
 n[0,3,2] D5[1] 1
 MARKER1 'MARKER' 'INTEND'
 t[0,0] objective 1
 t[0,0] D5[0] -1
 t[0,0] D5[1] -1
RHS
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C1[2] 1
 RHS C1[3] 1
 RHS C2[0] 2
 RHS C2[1] 2
 RHS C2[2] 2
 RHS C3[0] 1
 RHS C3[1] 1
 RHS C3[2] 1
 RHS C3[3] 1
 RHS C3[4] 1
 RHS C3[5] 1
 RHS C3[6] 1
 RHS C3[7] 1
 RHS C3[8] 1
 RHS C3[9] 1
 RHS C3[10] 1
 RHS C3[11] 1
 RHS C6[0] 1
 RHS C6[1] 1
RANGES
 RANGE C2[1] 2
BOUNDS
 UP BOUND n[0,0,0] 2
 UP BOUND n[0,0,1] 2
 UP BOUND n[0,0,2] 2
 UP BOUND n[0,1,0] 2
 UP BOUND n[0,1,1] 2
 UP BOUND n[0,1,2] 2
 UP BOUND n[0,2,0] 2
 UP BOUND n[0,2,1] 2
 UP BOUND n[0,2,2] 2
 UP BOUND n[0,3,0] 2
 UP BOUND n[0,3,1] 2
 UP BOUND n[0,3,2] 2
ENDATA
