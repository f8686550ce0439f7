NAME timed-half-duplex-plain
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
 L C4[0]
 L C4[1]
 L C4[2]
 L C4[3]
 L C4[4]
 L C4[5]
 L C5[0]
 E D2[0]
 L D3[0]
 L D3[1]
 L D4[0]
 L D4[1]
COLUMNS
 x[0,0] objective 0
 x[0,0] C1[0] 1
 x[0,0] C2[0] 1
 x[0,0] C2[8] 1
 x[0,0] C4[0] 1
 x[0,0] C4[2] 1
 x[0,1] objective 0
 x[0,1] C1[0] 1
 x[0,1] C2[1] 1
 x[0,1] C2[9] 1
 x[0,1] C4[1] 1
 x[0,1] C4[3] 1
 x[1,0] objective 0
 x[1,0] C1[1] 1
 x[1,0] C2[0] 1
 x[1,0] C2[10] 1
 x[1,0] C4[0] 1
 x[1,0] C4[4] 1
 x[1,1] objective 0
 x[1,1] C1[1] 1
 x[1,1] C2[1] 1
 x[1,1] C2[11] 1
 x[1,1] C4[1] 1
 x[1,1] C4[5] 1
 x[2,0] objective 0
 x[2,0] C1[2] 1
 x[2,0] C2[2] 1
 x[2,0] C2[10] 1
 x[2,0] C4[2] 1
 x[2,0] C4[4] 1
 x[2,1] objective 0
 x[2,1] C1[2] 1
 x[2,1] C2[3] 1
 x[2,1] C2[11] 1
 x[2,1] C4[3] 1
 x[2,1] C4[5] 1
 x[3,0] objective 0
 x[3,0] C1[3] 1
 x[3,0] C2[4] 1
 x[3,0] C2[6] 1
 x[3,0] C4[0] 1
 x[3,0] C4[4] 1
 x[3,0] C5[0] 1
 x[3,1] objective 0
 x[3,1] C1[3] 1
 x[3,1] C2[5] 1
 x[3,1] C2[7] 1
 x[3,1] C4[1] 1
 x[3,1] C4[5] 1
 u[0] objective 0
 u[0] C2[0] -1
 u[0] C2[2] -1
 u[0] C2[4] -1
 u[0] C2[6] -1
 u[0] C2[8] -1
 u[0] C2[10] -1
 u[0] C4[0] -1
 u[0] C4[2] -1
 u[0] C4[4] -1
 u[0] D3[0] 1
 u[0] D4[0] 1
 u[1] objective 0
 u[1] C2[1] -1
 u[1] C2[3] -1
 u[1] C2[5] -1
 u[1] C2[7] -1
 u[1] C2[9] -1
 u[1] C2[11] -1
 u[1] C4[1] -1
 u[1] C4[3] -1
 u[1] C4[5] -1
 u[1] D3[1] 1
 u[1] D4[1] 1
 MARKER0 'MARKER' 'INTORG'
 y[0] objective 0
 y[0] D2[0] 1
 y[0] D3[0] -0.7142857142857143
 y[1] objective 0
 y[1] D2[0] 1
 y[1] D3[0] -0.7142857142857143
 y[1] D3[1] -1
 y[1] D4[1] 0.7142857142857143
 MARKER1 'MARKER' 'INTEND'
 T objective 7
 T D4[0] -1
 T D4[1] -1
RHS
 RHS C1[0] 0.42857142857142855
 RHS C1[1] 0.2857142857142857
 RHS C1[2] 0.5714285714285714
 RHS C1[3] 0.14285714285714285
 RHS D2[0] 1
RANGES
BOUNDS
 UP BOUND x[0,0] 0.42857142857142855
 UP BOUND x[0,1] 0.42857142857142855
 UP BOUND x[1,0] 0.2857142857142857
 UP BOUND x[1,1] 0.2857142857142857
 UP BOUND x[2,0] 0.5714285714285714
 UP BOUND x[2,1] 0.5714285714285714
 UP BOUND x[3,0] 0.14285714285714285
 UP BOUND x[3,1] 0.14285714285714285
 UP BOUND u[0] 0.7142857142857143
 UP BOUND u[1] 1
 UP BOUND y[0] 1
 UP BOUND y[1] 1
 UP BOUND T 1.7142857142857144
ENDATA
