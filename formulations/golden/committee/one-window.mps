NAME one-window
ROWS
 N objective
 L C1[0]
 L C5[0]
 L C5[1]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 k[0] objective 0
 k[0] C1[0] 1
 k[0] C5[0] -1
 k[1] objective 0
 k[1] C1[0] 1
 k[1] C5[1] -1
 x[0,0,0] objective -5
 x[0,0,0] C5[0] 1
 x[0,0,1] objective -1
 x[0,0,1] C5[0] 1
 x[0,0,2] objective 0
 x[0,0,2] C5[0] 1
 x[0,1,0] objective -2
 x[0,1,0] C5[1] 1
 x[0,1,1] objective -2
 x[0,1,1] C5[1] 1
 x[0,1,2] objective -3
 x[0,1,2] C5[1] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -13
 RHS C1[0] 3
RANGES
BOUNDS
 UP BOUND k[0] 3
 UP BOUND k[1] 3
 UP BOUND x[0,0,0] 1
 UP BOUND x[0,0,1] 1
 UP BOUND x[0,0,2] 1
 UP BOUND x[0,1,0] 1
 UP BOUND x[0,1,1] 1
 UP BOUND x[0,1,2] 1
ENDATA
