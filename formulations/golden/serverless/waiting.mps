NAME waiting
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
 E D2[6]
 E D2[7]
 L V1[0]
 L V1[1]
 L V1[2]
 L V1[3]
 L V1[4]
 L V1[5]
 L V1[6]
 L V1[7]
 L V1[8]
 L V1[9]
 L V1[10]
 L V1[11]
 G V2[0]
 G V2[1]
 G V2[2]
 G V2[3]
 G V2[4]
 G V2[5]
 G V2[6]
 G V2[7]
 G V2[8]
 G V2[9]
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
 z0[2] objective 0
 z0[2] D1[0] 1
 z0[2] D2[4] -1
 z0[2] D2[5] -1
 x0[0] objective 3.84375
 x0[0] D2[0] 1
 x0[1] objective 17.6875
 x0[1] D2[1] 1
 x0[2] objective 12.34375
 x0[2] D2[1] 1
 x0[2] V1[0] 1
 x0[2] V1[1] 1
 x0[2] V1[2] 1
 x0[3] objective 10.09375
 x0[3] D2[1] 1
 x0[3] V1[0] 1
 x0[3] V1[1] 1
 x0[3] V1[2] 1
 x0[3] V1[3] 1
 x0[3] V1[4] 1
 x0[3] V1[5] 1
 x0[3] V1[6] 1
 x0[4] objective 3.15625
 x0[4] D2[2] 1
 x0[5] objective 15.3125
 x0[5] D2[3] 1
 x0[5] V1[0] 1
 x0[6] objective 11.3125
 x0[6] D2[3] 1
 x0[6] V1[0] 1
 x0[6] V1[1] 1
 x0[6] V1[2] 1
 x0[6] V1[3] 1
 x0[7] objective 11.15625
 x0[7] D2[3] 1
 x0[7] V1[0] 1
 x0[7] V1[1] 1
 x0[7] V1[2] 1
 x0[7] V1[3] 1
 x0[7] V1[4] 1
 x0[8] objective 9.40625
 x0[8] D2[3] 1
 x0[8] V1[0] 1
 x0[8] V1[1] 1
 x0[8] V1[2] 1
 x0[8] V1[3] 1
 x0[8] V1[4] 1
 x0[8] V1[5] 1
 x0[8] V1[6] 1
 x0[8] V1[7] 1
 x0[9] objective 3.84375
 x0[9] D2[4] 1
 x0[10] objective 17.6875
 x0[10] D2[5] 1
 x0[11] objective 12.53125
 x0[11] D2[5] 1
 x0[11] V1[0] 1
 x0[11] V1[1] 1
 x0[12] objective 10.28125
 x0[12] D2[5] 1
 x0[12] V1[0] 1
 x0[12] V1[1] 1
 x0[12] V1[2] 1
 x0[12] V1[3] 1
 x0[12] V1[4] 1
 x0[12] V1[5] 1
 z1[0] objective 0
 z1[0] D1[1] 1
 z1[0] D2[6] -1
 z1[1] objective 0
 z1[1] D1[1] 1
 z1[1] D2[7] -1
 x1[0] objective 12.6875
 x1[0] D2[6] 1
 x1[1] objective 7.34375
 x1[1] D2[6] 1
 x1[1] V1[8] 1
 x1[2] objective 5.09375
 x1[2] D2[6] 1
 x1[2] V1[8] 1
 x1[2] V1[9] 1
 x1[2] V1[10] 1
 x1[3] objective 10.3125
 x1[3] D2[7] 1
 x1[4] objective 6.3125
 x1[4] D2[7] 1
 x1[4] V1[8] 1
 x1[5] objective 6.15625
 x1[5] D2[7] 1
 x1[5] V1[8] 1
 x1[5] V1[9] 1
 x1[6] objective 4.40625
 x1[6] D2[7] 1
 x1[6] V1[8] 1
 x1[6] V1[9] 1
 x1[6] V1[10] 1
 x1[6] V1[11] 1
 MARKER1 'MARKER' 'INTEND'
 L[0] objective 32
 L[0] V3[0] 1
 L[1] objective 32
 L[1] V3[1] 1
 MARKER2 'MARKER' 'INTORG'
 v0[0] objective 0
 v0[0] V1[0] -1
 v0[0] V2[0] 1
 v0[0] V3[0] -0.0546875
 v0[1] objective 0
 v0[1] V1[1] -1
 v0[1] V2[0] -1
 v0[1] V2[1] 1
 v0[1] V3[0] -0.0546875
 v0[2] objective 0
 v0[2] V1[2] -1
 v0[2] V2[1] -1
 v0[2] V2[2] 1
 v0[2] V3[0] -0.0078125
 v0[3] objective 0
 v0[3] V1[3] -1
 v0[3] V2[2] -1
 v0[3] V2[3] 1
 v0[3] V3[0] -0.0546875
 v0[4] objective 0
 v0[4] V1[4] -1
 v0[4] V2[3] -1
 v0[4] V2[4] 1
 v0[4] V3[0] -0.046875
 v0[5] objective 0
 v0[5] V1[5] -1
 v0[5] V2[4] -1
 v0[5] V2[5] 1
 v0[5] V3[0] -0.125
 v0[6] objective 0
 v0[6] V1[6] -1
 v0[6] V2[5] -1
 v0[6] V2[6] 1
 v0[6] V3[0] -0.0078125
 v0[7] objective 0
 v0[7] V1[7] -1
 v0[7] V2[6] -1
 v0[7] V3[0] -0.1015625
 v1[0] objective 0
 v1[0] V1[8] -1
 v1[0] V2[7] 1
 v1[0] V3[1] -0.0390625
 v1[1] objective 0
 v1[1] V1[9] -1
 v1[1] V2[7] -1
 v1[1] V2[8] 1
 v1[1] V3[1] -0.015625
 v1[2] objective 0
 v1[2] V1[10] -1
 v1[2] V2[8] -1
 v1[2] V2[9] 1
 v1[2] V3[1] -0.0625
 v1[3] objective 0
 v1[3] V1[11] -1
 v1[3] V2[9] -1
 v1[3] V3[1] -0.015625
 MARKER3 'MARKER' 'INTEND'
RHS
 RHS objective -6
 RHS D1[0] 1
 RHS D1[1] 1
 RHS V3[0] 0.328125
 RHS V3[1] 0.2109375
RANGES
BOUNDS
 UP BOUND z0[0] 1
 UP BOUND z0[1] 1
 UP BOUND z0[2] 1
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
 UP BOUND x0[5] 1
 UP BOUND x0[6] 1
 UP BOUND x0[7] 1
 UP BOUND x0[8] 1
 UP BOUND x0[9] 1
 UP BOUND x0[10] 1
 UP BOUND x0[11] 1
 UP BOUND x0[12] 1
 UP BOUND z1[0] 1
 UP BOUND z1[1] 1
 UP BOUND x1[0] 1
 UP BOUND x1[1] 1
 UP BOUND x1[2] 1
 UP BOUND x1[3] 1
 UP BOUND x1[4] 1
 UP BOUND x1[5] 1
 UP BOUND x1[6] 1
 UP BOUND v0[0] 1
 UP BOUND v0[1] 1
 UP BOUND v0[2] 1
 UP BOUND v0[3] 1
 UP BOUND v0[4] 1
 UP BOUND v0[5] 1
 UP BOUND v0[6] 1
 UP BOUND v0[7] 1
 UP BOUND v1[0] 1
 UP BOUND v1[1] 1
 UP BOUND v1[2] 1
 UP BOUND v1[3] 1
ENDATA
