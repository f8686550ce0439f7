NAME prices
ROWS
 N objective
 L C1[0]
 L C5[0]
 L C5[1]
 L C5[2]
 L C5[3]
 L C5[4]
 L C5[5]
 L C5[6]
 L C5[7]
 L C5[8]
 L C5[9]
 L C5[10]
 L C5[11]
 L C5[12]
 L C5[13]
 L C5[14]
 L C5[15]
 L C5[16]
 L C5[17]
 L C5[18]
 L C5[19]
 L C5[20]
 L C5[21]
 L C5[22]
 L C5[23]
 L C5[24]
 L C5[25]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 k[0] objective 0
 k[0] C1[0] 1
 k[0] C5[0] -1
 k[0] C5[2] -1
 k[0] C5[4] -1
 k[0] C5[6] -1
 k[1] objective 0
 k[1] C1[0] 1
 k[1] C5[1] -1
 k[1] C5[3] -1
 k[1] C5[5] -1
 k[1] C5[7] -1
 x[0,0,0] objective -5
 x[0,0,0] C5[0] 1
 x[0,0,0] C5[8] -1
 x[0,0,1] objective -1
 x[0,0,1] C5[0] 1
 x[0,0,1] C5[9] -1
 x[0,0,2] objective 0
 x[0,0,2] C5[0] 1
 x[0,0,2] C5[10] -1
 x[0,1,0] objective -2
 x[0,1,0] C5[1] 1
 x[0,1,0] C5[11] -1
 x[0,1,1] objective -2
 x[0,1,1] C5[1] 1
 x[0,1,1] C5[12] -1
 x[0,1,2] objective -3
 x[0,1,2] C5[1] 1
 x[0,1,2] C5[13] -1
 x[1,0,0] objective -1
 x[1,0,0] C5[2] 1
 x[1,0,0] C5[8] 1
 x[1,0,0] C5[14] -1
 x[1,0,1] objective -4
 x[1,0,1] C5[2] 1
 x[1,0,1] C5[9] 1
 x[1,0,1] C5[15] -1
 x[1,0,2] objective 0
 x[1,0,2] C5[2] 1
 x[1,0,2] C5[10] 1
 x[1,0,2] C5[16] -1
 x[1,1,0] objective -3
 x[1,1,0] C5[3] 1
 x[1,1,0] C5[11] 1
 x[1,1,0] C5[17] -1
 x[1,1,1] objective 0
 x[1,1,1] C5[3] 1
 x[1,1,1] C5[12] 1
 x[1,1,1] C5[18] -1
 x[1,1,2] objective -1
 x[1,1,2] C5[3] 1
 x[1,1,2] C5[13] 1
 x[1,1,2] C5[19] -1
 x[2,0,0] objective 0
 x[2,0,0] C5[4] 1
 x[2,0,0] C5[14] 1
 x[2,0,0] C5[20] -1
 x[2,0,1] objective -6
 x[2,0,1] C5[4] 1
 x[2,0,1] C5[15] 1
 x[2,0,1] C5[21] -1
 x[2,0,2] objective -2
 x[2,0,2] C5[4] 1
 x[2,0,2] C5[16] 1
 x[2,0,2] C5[22] -1
 x[2,1,0] objective -1
 x[2,1,0] C5[5] 1
 x[2,1,0] C5[17] 1
 x[2,1,0] C5[23] -1
 x[2,1,1] objective -4
 x[2,1,1] C5[5] 1
 x[2,1,1] C5[18] 1
 x[2,1,1] C5[24] -1
 x[2,1,2] objective 0
 x[2,1,2] C5[5] 1
 x[2,1,2] C5[19] 1
 x[2,1,2] C5[25] -1
 x[3,0,0] objective -3
 x[3,0,0] C5[6] 1
 x[3,0,0] C5[20] 1
 x[3,0,1] objective -2
 x[3,0,1] C5[6] 1
 x[3,0,1] C5[21] 1
 x[3,0,2] objective -4
 x[3,0,2] C5[6] 1
 x[3,0,2] C5[22] 1
 x[3,1,0] objective 0
 x[3,1,0] C5[7] 1
 x[3,1,0] C5[23] 1
 x[3,1,1] objective -5
 x[3,1,1] C5[7] 1
 x[3,1,1] C5[24] 1
 x[3,1,2] objective -1
 x[3,1,2] C5[7] 1
 x[3,1,2] C5[25] 1
 y[0,0,0] objective 2
 y[0,0,0] C5[8] -1
 y[0,0,1] objective 2
 y[0,0,1] C5[9] -1
 y[0,0,2] objective 2
 y[0,0,2] C5[10] -1
 y[0,1,0] objective 2
 y[0,1,0] C5[11] -1
 y[0,1,1] objective 2
 y[0,1,1] C5[12] -1
 y[0,1,2] objective 2
 y[0,1,2] C5[13] -1
 y[1,0,0] objective 2
 y[1,0,0] C5[14] -1
 y[1,0,1] objective 2
 y[1,0,1] C5[15] -1
 y[1,0,2] objective 2
 y[1,0,2] C5[16] -1
 y[1,1,0] objective 2
 y[1,1,0] C5[17] -1
 y[1,1,1] objective 2
 y[1,1,1] C5[18] -1
 y[1,1,2] objective 2
 y[1,1,2] C5[19] -1
 y[2,0,0] objective 2
 y[2,0,0] C5[20] -1
 y[2,0,1] objective 2
 y[2,0,1] C5[21] -1
 y[2,0,2] objective 2
 y[2,0,2] C5[22] -1
 y[2,1,0] objective 2
 y[2,1,0] C5[23] -1
 y[2,1,1] objective 2
 y[2,1,1] C5[24] -1
 y[2,1,2] objective 2
 y[2,1,2] C5[25] -1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -50
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
 UP BOUND x[1,0,0] 1
 UP BOUND x[1,0,1] 1
 UP BOUND x[1,0,2] 1
 UP BOUND x[1,1,0] 1
 UP BOUND x[1,1,1] 1
 UP BOUND x[1,1,2] 1
 UP BOUND x[2,0,0] 1
 UP BOUND x[2,0,1] 1
 UP BOUND x[2,0,2] 1
 UP BOUND x[2,1,0] 1
 UP BOUND x[2,1,1] 1
 UP BOUND x[2,1,2] 1
 UP BOUND x[3,0,0] 1
 UP BOUND x[3,0,1] 1
 UP BOUND x[3,0,2] 1
 UP BOUND x[3,1,0] 1
 UP BOUND x[3,1,1] 1
 UP BOUND x[3,1,2] 1
 UP BOUND y[0,0,0] 1
 UP BOUND y[0,0,1] 1
 UP BOUND y[0,0,2] 1
 UP BOUND y[0,1,0] 1
 UP BOUND y[0,1,1] 1
 UP BOUND y[0,1,2] 1
 UP BOUND y[1,0,0] 1
 UP BOUND y[1,0,1] 1
 UP BOUND y[1,0,2] 1
 UP BOUND y[1,1,0] 1
 UP BOUND y[1,1,1] 1
 UP BOUND y[1,1,2] 1
 UP BOUND y[2,0,0] 1
 UP BOUND y[2,0,1] 1
 UP BOUND y[2,0,2] 1
 UP BOUND y[2,1,0] 1
 UP BOUND y[2,1,1] 1
 UP BOUND y[2,1,2] 1
ENDATA
