NAME promise
ROWS
 N objective
 E D1[0]
 E D1[1]
 E D2[0]
 E D2[1]
 E D2[2]
 E D2[3]
 E D2[4]
 E D2[5]
 L C6[0]
 L V1[0]
 L V1[1]
 L V1[2]
 L V1[3]
 L V1[4]
 G V2[0]
 G V2[1]
 G V2[2]
 G V3[0]
 G V3[1]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 z0[0] objective 0
 z0[0] D1[0] 1
 z0[0] D2[0] -1
 z0[0] D2[1] -1
 z0[1] objective 0
 z0[1] D1[0] 1
 z0[1] D2[2] -1
 z0[1] D2[3] -1
 x0[0] objective 3
 x0[0] D2[0] 1
 x0[1] objective 14.5
 x0[1] D2[1] 1
 x0[1] V1[0] 1
 x0[2] objective 3.5
 x0[2] D2[2] 1
 x0[3] objective 16.5
 x0[3] D2[3] 1
 x0[4] objective 11.75
 x0[4] D2[3] 1
 x0[4] V1[0] 1
 x0[4] V1[1] 1
 z1[0] objective 0
 z1[0] D1[1] 1
 z1[0] D2[4] -1
 z1[1] objective 0
 z1[1] D1[1] 1
 z1[1] D2[5] -1
 x1[0] objective 11.5
 x1[0] D2[4] 1
 x1[1] objective 7
 x1[1] D2[4] 1
 x1[1] V1[2] 1
 x1[2] objective 4.75
 x1[2] D2[4] 1
 x1[2] V1[2] 1
 x1[2] V1[3] 1
 x1[3] objective 9.5
 x1[3] D2[5] 1
 x1[4] objective 6
 x1[4] D2[5] 1
 x1[4] V1[2] 1
 x1[5] objective 4.25
 x1[5] D2[5] 1
 x1[5] V1[2] 1
 x1[5] V1[3] 1
 x1[5] V1[4] 1
 MARKER1 'MARKER' 'INTEND'
 L[0] objective 0
 L[0] C6[0] 1
 L[0] V3[0] 1
 L[1] objective 0
 L[1] C6[0] 1
 L[1] V3[1] 1
 MARKER2 'MARKER' 'INTORG'
 v0[0] objective 0
 v0[0] V1[0] -1
 v0[0] V2[0] 1
 v0[0] V3[0] -0.109375
 v0[1] objective 0
 v0[1] V1[1] -1
 v0[1] V2[0] -1
 v0[1] V3[0] -0.109375
 v1[0] objective 0
 v1[0] V1[2] -1
 v1[0] V2[1] 1
 v1[0] V3[1] -0.078125
 v1[1] objective 0
 v1[1] V1[3] -1
 v1[1] V2[1] -1
 v1[1] V2[2] 1
 v1[1] V3[1] -0.15625
 v1[2] objective 0
 v1[2] V1[4] -1
 v1[2] V2[2] -1
 v1[2] V3[1] -0.03125
 MARKER3 'MARKER' 'INTEND'
RHS
 RHS D1[0] 1
 RHS D1[1] 1
 RHS C6[0] 1.3750000014985
 RHS V3[0] 0.65625
 RHS V3[1] 0.421875
RANGES
BOUNDS
 UP BOUND z0[0] 1
 UP BOUND z0[1] 1
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
 UP BOUND z1[0] 1
 UP BOUND z1[1] 1
 UP BOUND x1[0] 1
 UP BOUND x1[1] 1
 UP BOUND x1[2] 1
 UP BOUND x1[3] 1
 UP BOUND x1[4] 1
 UP BOUND x1[5] 1
 UP BOUND v0[0] 1
 UP BOUND v0[1] 1
 UP BOUND v1[0] 1
 UP BOUND v1[1] 1
 UP BOUND v1[2] 1
ENDATA
