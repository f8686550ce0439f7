NAME timed-one-peer-plain
ROWS
 N objective
 E C1[0]
 E C1[1]
 E C1[2]
 E C1[3]
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C2[5]
 L C2[6]
 L C2[7]
 L C2[8]
 L C2[9]
 L C2[10]
 L C2[11]
 L C3[0]
 L C3[1]
 L C3[2]
 L C3[3]
 L C3[4]
 L C3[5]
 L C3[6]
 L C3[7]
 L C3[8]
 L C3[9]
 L C3[10]
 L C3[11]
 L C5[0]
 E D2[0]
 L D3[0]
 L D3[1]
 L D4[0]
 L D4[1]
COLUMNS
 x[0,0] objective 0
 x[0,0] C1[0] 1
 x[0,0] C2[0] 0.5
 x[0,0] C2[8] 1
 x[0,0] C3[0] 1
 x[0,0] C3[8] 1
 x[0,1] objective 0
 x[0,1] C1[0] 1
 x[0,1] C2[1] 0.5
 x[0,1] C2[9] 1
 x[0,1] C3[1] 1
 x[0,1] C3[9] 1
 x[1,0] objective 0
 x[1,0] C1[1] 1
 x[1,0] C2[0] 1
 x[1,0] C2[10] 1
 x[1,0] C3[0] 1
 x[1,0] C3[10] 1
 x[1,0] C5[0] 1
 x[1,1] objective 0
 x[1,1] C1[1] 1
 x[1,1] C2[1] 1
 x[1,1] C2[11] 1
 x[1,1] C3[1] 1
 x[1,1] C3[11] 1
 x[2,0] objective 0
 x[2,0] C1[2] 1
 x[2,0] C2[2] 1
 x[2,0] C2[10] 0.5
 x[2,0] C3[2] 1
 x[2,0] C3[10] 1
 x[2,1] objective 0
 x[2,1] C1[2] 1
 x[2,1] C2[3] 1
 x[2,1] C2[11] 0.5
 x[2,1] C3[3] 1
 x[2,1] C3[11] 1
 x[3,0] objective 0
 x[3,0] C1[3] 1
 x[3,0] C2[4] 1
 x[3,0] C2[6] 1
 x[3,0] C3[4] 1
 x[3,0] C3[6] 1
 x[3,1] objective 0
 x[3,1] C1[3] 1
 x[3,1] C2[5] 1
 x[3,1] C2[7] 1
 x[3,1] C3[5] 1
 x[3,1] C3[7] 1
 u[0] objective 0
 u[0] C2[0] -1
 u[0] C2[2] -1
 u[0] C2[4] -1
 u[0] C2[6] -1
 u[0] C2[8] -1
 u[0] C2[10] -1
 u[0] C3[0] -1
 u[0] C3[2] -1
 u[0] C3[4] -1
 u[0] C3[6] -1
 u[0] C3[8] -1
 u[0] C3[10] -1
 u[0] D3[0] 1
 u[0] D4[0] 1
 u[1] objective 0
 u[1] C2[1] -1
 u[1] C2[3] -1
 u[1] C2[5] -1
 u[1] C2[7] -1
 u[1] C2[9] -1
 u[1] C2[11] -1
 u[1] C3[1] -1
 u[1] C3[3] -1
 u[1] C3[5] -1
 u[1] C3[7] -1
 u[1] C3[9] -1
 u[1] C3[11] -1
 u[1] D3[1] 1
 u[1] D4[1] 1
 MARKER0 'MARKER' 'INTORG'
 y[0] objective 0
 y[0] D2[0] 1
 y[0] D3[0] -0.2
 y[1] objective 0
 y[1] D2[0] 1
 y[1] D3[0] -0.2
 y[1] D3[1] -1
 y[1] D4[1] 0.2
 MARKER1 'MARKER' 'INTEND'
 T objective 5
 T D4[0] -1
 T D4[1] -1
RHS
 RHS C1[0] 0.6
 RHS C1[1] 0.2
 RHS C1[2] 0.8
 RHS C1[3] 0.1
 RHS D2[0] 1
RANGES
BOUNDS
 UP BOUND x[0,0] 0.6
 UP BOUND x[0,1] 0.6
 UP BOUND x[1,0] 0.2
 UP BOUND x[1,1] 0.2
 UP BOUND x[2,0] 0.8
 UP BOUND x[2,1] 0.8
 UP BOUND x[3,0] 0.1
 UP BOUND x[3,1] 0.1
 UP BOUND u[0] 0.2
 UP BOUND u[1] 1
 UP BOUND y[0] 1
 UP BOUND y[1] 1
 UP BOUND T 1.2
ENDATA
