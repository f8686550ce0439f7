NAME bypass-sizes
ROWS
 N objective
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
 L V1[0]
 L V1[1]
 L V1[2]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0] objective -3
 x0[0] C2[0] 3
 x0[0] D2[0] 1
 x0[0] D2[5] 1
 x0[1] objective -1
 x0[1] C2[0] 1
 x0[1] C2[1] 1
 x0[1] D2[1] 1
 x0[1] D2[6] 1
 x0[2] objective -2
 x0[2] C2[1] 2
 x0[2] C2[2] 2
 x0[2] D2[2] 1
 x0[2] D2[7] 1
 x0[2] V1[0] 1
 x0[2] V1[1] 1
 x0[3] objective -3
 x0[3] C2[2] 3
 x0[3] D2[3] 1
 x0[3] D2[8] 1
 x0[3] V1[1] 1
 x0[4] objective -4
 x0[4] C2[2] 2
 x0[4] C2[3] 2
 x0[4] D2[4] 1
 x0[4] D2[9] 1
 x0[4] V1[1] 1
 x0[4] V1[2] 1
 y0[0] objective 1
 y0[0] D2[0] -1
 y0[1] objective 0
 y0[1] D2[1] -1
 y0[2] objective -1
 y0[2] C2[0] 2
 y0[2] D2[2] -1
 y0[3] objective 1
 y0[3] C2[1] 3
 y0[3] D2[3] -1
 y0[3] D2[5] -1
 y0[3] V1[0] 1
 y0[4] objective 2.5
 y0[4] C2[1] 2
 y0[4] D2[4] -1
 y0[4] V1[0] 1
 y0[5] objective 0
 y0[5] C2[2] 1
 y0[5] D2[6] -1
 y0[6] objective 1
 y0[6] C2[3] 3
 y0[6] D2[8] -1
 y0[6] V1[2] 1
 y0[7] objective -1
 y0[7] C2[3] 2
 y0[7] D2[7] -1
 y0[7] V1[2] 1
 y0[8] objective 2.5
 y0[8] D2[9] -1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -17
 RHS C2[0] 4
 RHS C2[1] 4
 RHS C2[2] 4
 RHS C2[3] 4
 RHS V1[0] 2
 RHS V1[1] 2
 RHS V1[2] 2
RANGES
BOUNDS
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
 UP BOUND y0[0] 1
 UP BOUND y0[1] 1
 UP BOUND y0[2] 1
 UP BOUND y0[3] 1
 UP BOUND y0[4] 1
 UP BOUND y0[5] 1
 UP BOUND y0[6] 1
 UP BOUND y0[7] 1
 UP BOUND y0[8] 1
ENDATA
