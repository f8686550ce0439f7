NAME layers
ROWS
 N objective
 L C2[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x1[0] objective -1
 x1[1] objective -1
 x1[1] C2[0] 1
 x1[2] objective -1
 x1[2] C2[0] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -6
 RHS C2[0] 1
RANGES
BOUNDS
 UP BOUND x1[0] 1
 UP BOUND x1[1] 1
 UP BOUND x1[2] 1
ENDATA
