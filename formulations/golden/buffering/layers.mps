NAME layers
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0] objective -1
 x0[0] C2[0] 1
 x0[0] C2[1] 1
 x0[1] objective -1
 x0[2] objective -1
 x0[2] C2[2] 1
 x0[2] C2[3] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -6
RANGES
BOUNDS
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
ENDATA
