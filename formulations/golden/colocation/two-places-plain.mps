NAME two-places-plain
ROWS
 N objective
 E C1[0]
 E C1[1]
 E C1[2]
 E C1[3]
 E C1[4]
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L D2[0]
 L D2[1]
 L D2[2]
 L D2[3]
 L D2[4]
 L D2[5]
 L D2[6]
 L D2[7]
 L D2[8]
 L D2[9]
 L D2[10]
 L D2[11]
 L D2[12]
 L D2[13]
 L D2[14]
 L D2[15]
 G D5[0]
 G D5[1]
 G D5[2]
 G D5[3]
 G D11[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0,0] objective 0
 x0[0,0] C1[0] 1
 x0[0,0] C2[0] 1
 x0[0,0] D2[0] -1
 x0[0,0] D2[2] -1
 x0[0,0] D5[0] -1.25
 x0[0,0] D5[2] -1.25
 x0[0,1] objective 0
 x0[0,1] C1[0] 1
 x0[0,1] C2[1] 1
 x0[0,1] D2[1] -1
 x0[0,1] D2[3] -1
 x0[0,1] D5[1] -1.25
 x0[0,1] D5[3] -1.25
 x0[1,0] objective 0
 x0[1,0] C1[1] 1
 x0[1,0] C2[0] 1
 x0[1,0] D2[4] -1
 x0[1,0] D2[6] -1
 x0[1,0] D5[0] -0.75
 x0[1,0] D5[2] -1.25
 x0[1,1] objective 0
 x0[1,1] C1[1] 1
 x0[1,1] C2[1] 1
 x0[1,1] D2[5] -1
 x0[1,1] D2[7] -1
 x0[1,1] D5[1] -0.75
 x0[1,1] D5[3] -1.25
 x0[2,0] objective 0
 x0[2,0] C1[2] 1
 x0[2,0] C2[0] 1
 x0[2,0] D2[8] -1
 x0[2,0] D2[10] -1
 x0[2,0] D5[0] -1.5
 x0[2,0] D5[2] -1
 x0[2,1] objective 0
 x0[2,1] C1[2] 1
 x0[2,1] C2[1] 1
 x0[2,1] D2[9] -1
 x0[2,1] D2[11] -1
 x0[2,1] D5[1] -1.5
 x0[2,1] D5[3] -1
 MARKER1 'MARKER' 'INTEND'
 z0[0,0] objective 0
 z0[0,0] D2[0] 1
 z0[0,0] D2[6] 1
 z0[0,0] D5[0] 1
 z0[0,0] D5[2] 1
 z0[0,1] objective 0
 z0[0,1] D2[1] 1
 z0[0,1] D2[7] 1
 z0[0,1] D5[1] 1
 z0[0,1] D5[3] 1
 z0[1,0] objective 0
 z0[1,0] D2[2] 1
 z0[1,0] D2[8] 1
 z0[1,0] D5[0] 1.5
 z0[1,0] D5[2] 1.5
 z0[1,1] objective 0
 z0[1,1] D2[3] 1
 z0[1,1] D2[9] 1
 z0[1,1] D5[1] 1.5
 z0[1,1] D5[3] 1.5
 z0[2,0] objective 0
 z0[2,0] D2[4] 1
 z0[2,0] D2[10] 1
 z0[2,0] D5[0] 1
 z0[2,0] D5[2] 1
 z0[2,1] objective 0
 z0[2,1] D2[5] 1
 z0[2,1] D2[11] 1
 z0[2,1] D5[1] 1
 z0[2,1] D5[3] 1
 MARKER2 'MARKER' 'INTORG'
 x1[0,0] objective 0
 x1[0,0] C1[3] 1
 x1[0,0] C2[2] 1
 x1[0,0] D2[12] -1
 x1[0,0] D5[0] -1.25
 x1[0,0] D5[2] -0.75
 x1[0,1] objective 0
 x1[0,1] C1[3] 1
 x1[0,1] C2[3] 1
 x1[0,1] D2[13] -1
 x1[0,1] D5[1] -1.25
 x1[0,1] D5[3] -0.75
 x1[1,0] objective 0
 x1[1,0] C1[4] 1
 x1[1,0] C2[2] 1
 x1[1,0] D2[14] -1
 x1[1,0] D5[0] -0.75
 x1[1,0] D5[2] -1.25
 x1[1,1] objective 0
 x1[1,1] C1[4] 1
 x1[1,1] C2[3] 1
 x1[1,1] D2[15] -1
 x1[1,1] D5[1] -0.75
 x1[1,1] D5[3] -1.25
 MARKER3 'MARKER' 'INTEND'
 z1[0,0] objective 0
 z1[0,0] D2[12] 1
 z1[0,0] D2[14] 1
 z1[0,0] D5[0] 2
 z1[0,0] D5[2] 2
 z1[0,1] objective 0
 z1[0,1] D2[13] 1
 z1[0,1] D2[15] 1
 z1[0,1] D5[1] 2
 z1[0,1] D5[3] 2
 N[0,0] objective 0
 N[0,0] D5[0] 1
 N[0,0] D5[1] 1
 N[0,0] D5[2] 1
 N[0,0] D5[3] 1
 N[0,0] D11[0] -1
 T objective 4
 T D11[0] 1
RHS
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C1[2] 1
 RHS C1[3] 1
 RHS C1[4] 1
 RHS C2[0] 2
 RHS C2[1] 2
 RHS C2[2] 2
 RHS C2[3] 2
RANGES
BOUNDS
 UP BOUND x0[0,0] 1
 UP BOUND x0[0,1] 1
 UP BOUND x0[1,0] 1
 UP BOUND x0[1,1] 1
 UP BOUND x0[2,0] 1
 UP BOUND x0[2,1] 1
 UP BOUND z0[0,0] 1
 UP BOUND z0[0,1] 1
 UP BOUND z0[1,0] 1
 UP BOUND z0[1,1] 1
 UP BOUND z0[2,0] 1
 UP BOUND z0[2,1] 1
 UP BOUND x1[0,0] 1
 UP BOUND x1[0,1] 1
 UP BOUND x1[1,0] 1
 UP BOUND x1[1,1] 1
 UP BOUND z1[0,0] 1
 UP BOUND z1[0,1] 1
ENDATA
