NAME bill
ROWS
 N objective
 E D1[0]
 E D1[1]
 E D2[0]
 E D2[1]
 E D2[2]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 z0[0] objective 0
 z0[0] D1[0] 1
 z0[0] D2[0] -1
 z0[0] D2[1] -1
 x0[0] objective 3.65625
 x0[0] D2[0] 1
 x0[1] objective 9.90625
 x0[1] D2[1] 1
 z1[0] objective 0
 z1[0] D1[1] 1
 z1[0] D2[2] -1
 x1[0] objective 4.90625
 x1[0] D2[2] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS D1[0] 1
 RHS D1[1] 1
RANGES
BOUNDS
 UP BOUND z0[0] 1
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND z1[0] 1
 UP BOUND x1[0] 1
ENDATA
