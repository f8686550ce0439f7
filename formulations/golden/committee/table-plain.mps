NAME table-plain
ROWS
 N objective
 L C1[0]
 L C3[0]
 L C4[0]
 L C4[1]
 L C7[0]
 L C7[1]
 E D1[0]
 E D1[1]
 E D1[2]
 E D1[3]
 E D1[4]
 E D1[5]
 E D1[6]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 q[0] objective 0
 q[0] C3[0] -0.5000000005
 q[0] C7[0] 1
 q[0] D1[0] 1
 q[0] D1[1] -1
 q[0] D1[2] -1
 q[1] objective 0
 q[1] C3[0] -1.000000001
 q[1] C7[1] 1
 q[1] D1[0] 1
 q[1] D1[3] -1
 q[1] D1[4] -1
 k[0] objective 0
 k[0] C1[0] 1
 k[0] C4[0] 1
 k[0] D1[5] -1
 k[1] objective 0
 k[1] C1[0] 1
 k[1] C4[1] 1
 k[1] D1[6] -1
 z[0,0,0] objective 9
 z[0,0,0] D1[1] 1
 z[0,0,1] objective 5
 z[0,0,1] C3[0] 0.5
 z[0,0,1] D1[1] 1
 z[0,0,1] D1[5] 1
 z[0,0,2] objective 4
 z[0,0,2] C3[0] 1
 z[0,0,2] D1[1] 1
 z[0,0,2] D1[5] 2
 z[0,0,3] objective 1
 z[0,0,3] C3[0] 0.5
 z[0,0,3] D1[1] 1
 z[0,0,3] D1[5] 3
 z[0,1,0] objective 7
 z[0,1,0] D1[2] 1
 z[0,1,1] objective 6
 z[0,1,1] D1[2] 1
 z[0,1,1] D1[6] 1
 z[0,1,2] objective 2
 z[0,1,2] C3[0] 0.5
 z[0,1,2] D1[2] 1
 z[0,1,2] D1[6] 2
 z[0,1,3] objective 0
 z[0,1,3] C3[0] 1
 z[0,1,3] D1[2] 1
 z[0,1,3] D1[6] 3
 z[1,0,0] objective 9
 z[1,0,0] D1[3] 1
 z[1,0,1] objective 6
 z[1,0,1] C3[0] 0.5
 z[1,0,1] D1[3] 1
 z[1,0,1] D1[5] 1
 z[1,0,2] objective 5
 z[1,0,2] C3[0] 1
 z[1,0,2] D1[3] 1
 z[1,0,2] D1[5] 2
 z[1,0,3] objective 3
 z[1,0,3] C3[0] 1.5
 z[1,0,3] D1[3] 1
 z[1,0,3] D1[5] 3
 z[1,1,0] objective 8
 z[1,1,0] D1[4] 1
 z[1,1,1] objective 3
 z[1,1,1] C3[0] 0.5
 z[1,1,1] D1[4] 1
 z[1,1,1] D1[6] 1
 z[1,1,2] objective 2
 z[1,1,2] C3[0] 0.5
 z[1,1,2] D1[4] 1
 z[1,1,2] D1[6] 2
 z[1,1,3] objective 1
 z[1,1,3] D1[4] 1
 z[1,1,3] D1[6] 3
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS C1[0] 4
 RHS C4[0] 3
 RHS C4[1] 3
 RHS C7[0] 1
 RHS C7[1] 1
 RHS D1[0] 1
RANGES
 RANGE C4[0] 3
 RANGE C4[1] 3
BOUNDS
 UP BOUND q[0] 1
 UP BOUND q[1] 1
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
 UP BOUND z[1,0,0] 1
 UP BOUND z[1,0,1] 1
 UP BOUND z[1,0,2] 1
 UP BOUND z[1,0,3] 1
 UP BOUND z[1,1,0] 1
 UP BOUND z[1,1,1] 1
 UP BOUND z[1,1,2] 1
 UP BOUND z[1,1,3] 1
ENDATA
