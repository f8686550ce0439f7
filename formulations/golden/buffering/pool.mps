NAME pool
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0] objective -1
 x0[0] C2[0] 1
 x0[0] C2[1] 1
 x0[1] objective -1
 x0[2] objective -1
 x0[2] C2[0] 1
 x0[3] objective -1
 x0[3] C2[0] 1
 x0[3] C2[1] 1
 x0[3] C2[2] 1
 x0[3] C2[3] 1
 x0[3] C2[4] 1
 x0[4] objective -1
 x0[4] C2[1] 1
 x0[4] C2[2] 1
 x0[4] C2[3] 1
 x0[4] C2[4] 1
 x0[5] objective -1
 x0[5] C2[2] 1
 x0[5] C2[3] 1
 x0[5] C2[4] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -12
 RHS C2[0] 2
 RHS C2[1] 2
 RHS C2[2] 2
 RHS C2[3] 2
 RHS C2[4] 2
RANGES
BOUNDS
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
 UP BOUND x0[5] 1
ENDATA
