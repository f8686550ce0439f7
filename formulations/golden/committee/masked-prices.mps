NAME masked-prices
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
 L D4[0]
 L D4[1]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 k[0] objective 0
 k[0] C1[0] 1
 k[0] C5[0] -1
 k[0] C5[2] -1
 k[1] objective 0
 k[1] C1[0] 1
 k[1] C5[1] -1
 k[1] C5[3] -1
 x[0,0,0] objective -4
 x[0,0,0] C5[0] 1
 x[0,0,0] C5[4] -1
 x[0,0,0] D4[0] -1
 x[0,0,1] objective -4
 x[0,0,1] C5[0] 1
 x[0,0,1] C5[5] -1
 x[0,0,1] D4[0] -1
 x[0,0,2] objective 0
 x[0,0,2] C5[0] 1
 x[0,0,2] C5[6] -1
 x[0,0,2] D4[0] -1
 x[0,1,0] objective -1
 x[0,1,0] C5[1] 1
 x[0,1,0] C5[7] -1
 x[0,1,1] objective -8
 x[0,1,1] C5[1] 1
 x[0,1,1] C5[8] -1
 x[0,1,2] objective -5
 x[0,1,2] C5[1] 1
 x[0,1,2] C5[9] -1
 x[1,0,0] objective -1
 x[1,0,0] C5[2] 1
 x[1,0,0] C5[4] 1
 x[1,0,1] objective -5
 x[1,0,1] C5[2] 1
 x[1,0,1] C5[5] 1
 x[1,0,2] objective -11
 x[1,0,2] C5[2] 1
 x[1,0,2] C5[6] 1
 x[1,1,0] objective -4
 x[1,1,0] C5[3] 1
 x[1,1,0] C5[7] 1
 x[1,1,0] D4[1] -1
 x[1,1,1] objective -1
 x[1,1,1] C5[3] 1
 x[1,1,1] C5[8] 1
 x[1,1,1] D4[1] -1
 x[1,1,2] objective -3
 x[1,1,2] C5[3] 1
 x[1,1,2] C5[9] 1
 x[1,1,2] D4[1] -1
 y[0,0,0] objective 1
 y[0,0,0] C5[4] -1
 y[0,0,1] objective 1
 y[0,0,1] C5[5] -1
 y[0,0,2] objective 1
 y[0,0,2] C5[6] -1
 y[0,1,0] objective 1
 y[0,1,0] C5[7] -1
 y[0,1,1] objective 1
 y[0,1,1] C5[8] -1
 y[0,1,2] objective 1
 y[0,1,2] C5[9] -1
 m[0] objective -3
 m[0] D4[0] 1
 m[1] objective -2
 m[1] D4[1] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -57
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
 UP BOUND y[0,0,0] 1
 UP BOUND y[0,0,1] 1
 UP BOUND y[0,0,2] 1
 UP BOUND y[0,1,0] 1
 UP BOUND y[0,1,1] 1
 UP BOUND y[0,1,2] 1
 UP BOUND m[0] 2
 UP BOUND m[1] 2
ENDATA
