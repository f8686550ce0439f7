NAME scenarios
ROWS
 N objective
 E D1[0]
 E D2[0]
 E D2[1]
 E D2[2]
 L C6[0]
 L V1[0]
 L V1[1]
 L V1[2]
 G V3[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 z0[0] objective 0
 z0[0] D1[0] 1
 z0[0] D2[0] -1
 z0[0] D2[1] -1
 z0[0] D2[2] -1
 x0[0] objective 3
 x0[0] D2[0] 1
 x0[1] objective 2.125
 x0[1] D2[0] 1
 x0[1] V1[0] 1
 x0[2] objective 6
 x0[2] D2[1] 1
 x0[3] objective 4.25
 x0[3] D2[1] 1
 x0[3] V1[1] 1
 x0[4] objective 9
 x0[4] D2[2] 1
 x0[5] objective 6.375
 x0[5] D2[2] 1
 x0[5] V1[2] 1
 MARKER1 'MARKER' 'INTEND'
 L[0] objective 0
 L[0] C6[0] 1
 L[0] V3[0] 1
 MARKER2 'MARKER' 'INTORG'
 v0[0] objective 0
 v0[0] V1[0] -1
 v0[0] V1[1] -1
 v0[0] V1[2] -1
 v0[0] V3[0] -0.15625
 MARKER3 'MARKER' 'INTEND'
RHS
 RHS D1[0] 1
 RHS C6[0] 0.875000000874125
 RHS V3[0] 0.65625
RANGES
BOUNDS
 UP BOUND z0[0] 1
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
 UP BOUND x0[5] 1
 UP BOUND v0[0] 1
ENDATA
