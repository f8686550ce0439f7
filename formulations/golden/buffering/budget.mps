NAME budget
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C2[5]
 L C2[6]
 L C2[7]
 L C2[8]
 L C2[9]
 L C2[10]
 L C2[11]
 L C6[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0] objective -1
 x0[0] C2[1] 1
 x0[0] C2[2] 1
 x0[1] objective -1
 x0[2] objective -1
 x0[2] C2[3] 1
 x0[2] C2[4] 1
 x1[0] objective -1
 x1[0] C2[7] 1
 x1[1] objective -1
 x1[1] C2[8] 1
 x1[1] C2[9] 1
 x1[1] C2[10] 1
 x1[2] objective -1
 x1[2] C2[9] 1
 k[0] objective 0
 k[0] C2[0] -1
 k[0] C2[1] -1
 k[0] C2[2] -1
 k[0] C2[3] -1
 k[0] C2[4] -1
 k[0] C2[5] -1
 k[0] C6[0] 2
 k[1] objective 0
 k[1] C2[6] -1
 k[1] C2[7] -1
 k[1] C2[8] -1
 k[1] C2[9] -1
 k[1] C2[10] -1
 k[1] C2[11] -1
 k[1] C6[0] 3
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -12
 RHS C2[0] -1
 RHS C2[1] -1
 RHS C2[2] -1
 RHS C2[3] -1
 RHS C2[4] -1
 RHS C2[5] -1
 RHS C2[6] -1
 RHS C2[7] -1
 RHS C2[8] -1
 RHS C2[9] -1
 RHS C2[10] -1
 RHS C2[11] -1
 RHS C6[0] 8
RANGES
BOUNDS
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x1[0] 1
 UP BOUND x1[1] 1
 UP BOUND x1[2] 1
 LO BOUND k[0] 1
 UP BOUND k[0] 3
 LO BOUND k[1] 1
 UP BOUND k[1] 3
ENDATA
