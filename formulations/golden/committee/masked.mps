NAME masked
ROWS
 N objective
 L C1[0]
 L C5[0]
 L C5[1]
 L C5[2]
 L C5[3]
 L D4[0]
 L D4[1]
 L D4[2]
 L D4[3]
 L D4[4]
 L D4[5]
 L D4[6]
 L D4[7]
 L D4[8]
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
 x[0,0,0] objective -1
 x[0,0,0] C5[0] 1
 x[0,0,0] D4[0] -1
 x[0,0,1] objective -1
 x[0,0,1] C5[0] 1
 x[0,0,1] D4[0] -1
 x[0,0,2] objective 0
 x[0,0,2] C5[0] 1
 x[0,0,2] D4[1] -1
 x[0,1,0] objective 0
 x[0,1,0] C5[1] 1
 x[0,1,0] D4[3] -1
 x[0,1,1] objective -5
 x[0,1,1] C5[1] 1
 x[0,1,1] D4[2] -1
 x[0,1,1] D4[3] -1
 x[0,1,2] objective -3
 x[0,1,2] C5[1] 1
 x[0,1,2] D4[2] -1
 x[1,0,0] objective 0
 x[1,0,0] C5[2] 1
 x[1,0,0] D4[5] -1
 x[1,0,1] objective -1
 x[1,0,1] C5[2] 1
 x[1,0,1] D4[4] -1
 x[1,0,2] objective -6
 x[1,0,2] C5[2] 1
 x[1,0,2] D4[4] -1
 x[1,0,2] D4[5] -1
 x[1,1,0] objective -2
 x[1,1,0] C5[3] 1
 x[1,1,0] D4[7] -1
 x[1,1,0] D4[8] -1
 x[1,1,1] objective 0
 x[1,1,1] C5[3] 1
 x[1,1,1] D4[6] -1
 x[1,1,2] objective 0
 x[1,1,2] C5[3] 1
 x[1,1,2] D4[6] -1
 x[1,1,2] D4[7] -1
 m[0] objective -3
 m[0] D4[0] 1
 m[0] D4[1] -1
 m[1] objective -3
 m[1] D4[1] 1
 m[2] objective -2
 m[2] D4[2] 1
 m[3] objective -1
 m[3] D4[3] 1
 m[4] objective -4
 m[4] D4[4] 1
 m[5] objective -1
 m[5] D4[5] 1
 m[6] objective -1
 m[6] D4[6] 1
 m[6] D4[8] -1
 m[7] objective -2
 m[7] D4[7] 1
 m[8] objective -2
 m[8] D4[8] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -38
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
 UP BOUND m[0] 1
 UP BOUND m[1] 1
 UP BOUND m[2] 1
 UP BOUND m[3] 1
 UP BOUND m[4] 1
 UP BOUND m[5] 1
 UP BOUND m[6] 1
 UP BOUND m[7] 1
 UP BOUND m[8] 1
ENDATA
