NAME message-startups
ROWS
 N objective
 E C1[0]
 E C1[1]
 E C1[2]
 E C1[3]
 E C1[4]
 E C1[5]
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C2[5]
 E D2[0]
 L D3[0]
 L D4[0]
COLUMNS
 x[0,0] objective 0
 x[0,0] C1[0] 1
 x[0,0] C2[0] 1
 x[0,0] C2[4] 1
 x[1,0] objective 0
 x[1,0] C1[1] 1
 x[1,0] C2[0] 1
 x[1,0] C2[5] 1
 x[2,0] objective 0
 x[2,0] C1[2] 1
 x[2,0] C2[1] 1
 x[2,0] C2[3] 1
 x[3,0] objective 0
 x[3,0] C1[3] 1
 x[3,0] C2[1] 1
 x[3,0] C2[5] 1
 x[4,0] objective 0
 x[4,0] C1[4] 1
 x[4,0] C2[2] 1
 x[4,0] C2[3] 1
 x[5,0] objective 0
 x[5,0] C1[5] 1
 x[5,0] C2[2] 1
 x[5,0] C2[4] 1
 u[0] objective 0
 u[0] C2[0] -1
 u[0] C2[1] -1
 u[0] C2[2] -1
 u[0] C2[3] -1
 u[0] C2[4] -1
 u[0] C2[5] -1
 u[0] D3[0] 1
 u[0] D4[0] 1
 MARKER0 'MARKER' 'INTORG'
 y[0] objective 0
 y[0] D2[0] 1
 y[0] D3[0] -1
 MARKER1 'MARKER' 'INTEND'
 T objective 4.5
 T D4[0] -1
RHS
 RHS C1[0] 0.7222222222222222
 RHS C1[1] 0.2777777777777778
 RHS C1[2] 0.5
 RHS C1[3] 0.5
 RHS C1[4] 0.2777777777777778
 RHS C1[5] 0.2777777777777778
 RHS D2[0] 1
RANGES
BOUNDS
 UP BOUND x[0,0] 0.7222222222222222
 UP BOUND x[1,0] 0.2777777777777778
 UP BOUND x[2,0] 0.5
 UP BOUND x[3,0] 0.5
 UP BOUND x[4,0] 0.2777777777777778
 UP BOUND x[5,0] 0.2777777777777778
 UP BOUND u[0] 1
 UP BOUND y[0] 1
 UP BOUND T 1
ENDATA
