NAME one-degree
ROWS
 N objective
 E D1[0]
 E D1[1]
 E D2[0]
 E D2[1]
 E D2[2]
 E D2[3]
 L D4[0]
 L D4[1]
 L D4[2]
 L D4[3]
 L C7[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 z0[0] objective 0
 z0[0] D1[0] 1
 z0[0] D2[0] -1
 z0[0] D4[0] 1
 z0[1] objective 0
 z0[1] D1[0] 1
 z0[1] D2[1] -1
 z0[1] D4[1] 1
 x0[0] objective 12.5
 x0[0] D2[0] 1
 x0[1] objective 12.416666666666666
 x0[1] D2[1] 1
 z1[0] objective 0
 z1[0] D1[1] 1
 z1[0] D2[2] -1
 z1[0] D4[2] 1
 z1[1] objective 0
 z1[1] D1[1] 1
 z1[1] D2[3] -1
 z1[1] D4[3] 1
 x1[0] objective 22
 x1[0] D2[2] 1
 x1[1] objective 22.166666666666668
 x1[1] D2[3] 1
 MARKER1 'MARKER' 'INTEND'
 w[0] objective 0
 w[0] D4[1] -1
 w[0] D4[3] -1
 w[0] C7[0] 1
 w[1] objective 0
 w[1] D4[0] -1
 w[1] D4[2] -1
 w[1] C7[0] 1
RHS
 RHS D1[0] 1
 RHS D1[1] 1
 RHS C7[0] 1
RANGES
BOUNDS
 UP BOUND z0[0] 1
 UP BOUND z0[1] 1
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND z1[0] 1
 UP BOUND z1[1] 1
 UP BOUND x1[0] 1
 UP BOUND x1[1] 1
 UP BOUND w[0] 1
 UP BOUND w[1] 1
ENDATA
