NAME table
ROWS
 N objective
 L C1[0]
 L C3[0]
 E D1[0]
 E D1[1]
 E D1[2]
 E D1[3]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 k[0] objective 0
 k[0] C1[0] 1
 k[0] D1[2] -1
 k[1] objective 0
 k[1] C1[0] 1
 k[1] D1[3] -1
 z[0,0,0] objective 9
 z[0,0,0] D1[0] 1
 z[0,0,1] objective 6
 z[0,0,1] C3[0] 0.5
 z[0,0,1] D1[0] 1
 z[0,0,1] D1[2] 1
 z[0,0,2] objective 5
 z[0,0,2] C3[0] 1
 z[0,0,2] D1[0] 1
 z[0,0,2] D1[2] 2
 z[0,0,3] objective 3
 z[0,0,3] C3[0] 1.5
 z[0,0,3] D1[0] 1
 z[0,0,3] D1[2] 3
 z[0,1,0] objective 8
 z[0,1,0] D1[1] 1
 z[0,1,1] objective 3
 z[0,1,1] C3[0] 0.5
 z[0,1,1] D1[1] 1
 z[0,1,1] D1[3] 1
 z[0,1,2] objective 2
 z[0,1,2] C3[0] 0.5
 z[0,1,2] D1[1] 1
 z[0,1,2] D1[3] 2
 z[0,1,3] objective 1
 z[0,1,3] D1[1] 1
 z[0,1,3] D1[3] 3
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS C1[0] 4
 RHS C3[0] 1.000000001
 RHS D1[0] 1
 RHS D1[1] 1
RANGES
BOUNDS
 UP BOUND k[0] 3
 UP BOUND k[1] 3
 UP BOUND z[0,0,0] 1
 UP BOUND z[0,0,1] 1
 UP BOUND z[0,0,2] 1
 UP BOUND z[0,0,3] 1
 UP BOUND z[0,1,0] 1
 UP BOUND z[0,1,1] 1
 UP BOUND z[0,1,2] 1
 UP BOUND z[0,1,3] 1
ENDATA
