NAME sizes
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C2[5]
 L V1[0]
 L V1[1]
 L V1[2]
 L V1[3]
 L V1[4]
 L V1[5]
 L V1[6]
 L V1[7]
 L V1[8]
 L V1[9]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0] objective -3
 x0[0] C2[0] 3
 x0[0] V1[0] 1
 x0[1] objective -1
 x0[1] C2[0] 1
 x0[1] C2[1] 1
 x0[1] C2[2] 1
 x0[1] V1[5] 1
 x0[1] V1[9] 1
 x0[2] objective -2
 x0[2] C2[1] 2
 x0[2] C2[2] 2
 x0[2] C2[3] 2
 x0[2] V1[1] 1
 x0[2] V1[5] 1
 x0[2] V1[6] 1
 x0[2] V1[7] 1
 x0[2] V1[9] 1
 x0[3] objective -3
 x0[3] C2[2] 3
 x0[3] C2[3] 3
 x0[3] C2[4] 3
 x0[3] V1[2] 1
 x0[3] V1[3] 1
 x0[3] V1[6] 1
 x0[3] V1[7] 1
 x0[3] V1[8] 1
 x0[3] V1[9] 1
 x0[4] objective -2
 x0[4] C2[3] 2
 x0[4] C2[4] 2
 x0[4] C2[5] 2
 x0[4] V1[4] 1
 x0[4] V1[7] 1
 x0[4] V1[8] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -19
 RHS C2[0] 2
 RHS C2[1] 1
 RHS C2[2] 2
 RHS C2[3] 3
 RHS C2[4] 2
 RHS C2[5] 1
 RHS V1[5] 1
 RHS V1[6] 1
 RHS V1[7] 1
 RHS V1[8] 1
 RHS V1[9] 2
RANGES
BOUNDS
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
ENDATA
