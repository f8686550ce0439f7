NAME timed-plain
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
 L C2[12]
 L C2[13]
 L C2[14]
 L C2[15]
 L C2[16]
 L C2[17]
 L C2[18]
 L C2[19]
 L C2[20]
 L C2[21]
 L C2[22]
 L C2[23]
 L C2[24]
 L C2[25]
 L C2[26]
 L C2[27]
 L C2[28]
 L C2[29]
 L C5[0]
 L C5[1]
 L C6[0]
 L C9[0]
 L C9[1]
 L C9[2]
 E D2[0]
 L D3[0]
 L D3[1]
 L D3[2]
 L D3[3]
 L D3[4]
 L D4[0]
 L D4[1]
 L D4[2]
 L D4[3]
 L D4[4]
COLUMNS
 x[0,0] objective 0
 x[0,0] C1[0] 1
 x[0,0] C2[0] 1
 x[0,0] C2[20] 0.5
 x[0,1] objective 0
 x[0,1] C1[0] 1
 x[0,1] C2[1] 1
 x[0,1] C2[21] 0.5
 x[0,2] objective 0
 x[0,2] C1[0] 1
 x[0,2] C2[2] 1
 x[0,2] C2[22] 0.5
 x[0,3] objective 0
 x[0,3] C1[0] 1
 x[0,3] C2[3] 1
 x[0,3] C2[23] 0.5
 x[0,3] C9[0] 1
 x[0,4] objective 0
 x[0,4] C1[0] 1
 x[0,4] C2[4] 1
 x[0,4] C2[24] 0.5
 x[1,0] objective 0
 x[1,0] C1[1] 1
 x[1,0] C2[0] 1
 x[1,0] C2[25] 0.5
 x[1,0] C5[0] 1
 x[1,1] objective 0
 x[1,1] C1[1] 1
 x[1,1] C2[1] 1
 x[1,1] C2[26] 0.5
 x[1,1] C5[0] 1
 x[1,2] objective 0
 x[1,2] C1[1] 1
 x[1,2] C2[2] 1
 x[1,2] C2[27] 0.5
 x[1,3] objective 0
 x[1,3] C1[1] 1
 x[1,3] C2[3] 1
 x[1,3] C2[28] 0.5
 x[1,3] C9[1] 1
 x[1,4] objective 0
 x[1,4] C1[1] 1
 x[1,4] C2[4] 1
 x[1,4] C2[29] 0.5
 x[2,0] objective 0
 x[2,0] C1[2] 1
 x[2,0] C2[5] 1
 x[2,0] C2[25] 1
 x[2,0] C5[1] 1
 x[2,1] objective 0
 x[2,1] C1[2] 1
 x[2,1] C2[6] 1
 x[2,1] C2[26] 1
 x[2,1] C5[1] 1
 x[2,2] objective 0
 x[2,2] C1[2] 1
 x[2,2] C2[7] 1
 x[2,2] C2[27] 1
 x[2,3] objective 0
 x[2,3] C1[2] 1
 x[2,3] C2[8] 1
 x[2,3] C2[28] 1
 x[2,4] objective 0
 x[2,4] C1[2] 1
 x[2,4] C2[9] 1
 x[2,4] C2[29] 1
 x[3,0] objective 0
 x[3,0] C1[3] 1
 x[3,0] C2[10] 1
 x[3,0] C2[15] 0.5
 x[3,1] objective 0
 x[3,1] C1[3] 1
 x[3,1] C2[11] 1
 x[3,1] C2[16] 0.5
 x[3,1] C6[0] 1
 x[3,2] objective 0
 x[3,2] C1[3] 1
 x[3,2] C2[12] 1
 x[3,2] C2[17] 0.5
 x[3,2] C6[0] 1
 x[3,3] objective 0
 x[3,3] C1[3] 1
 x[3,3] C2[13] 1
 x[3,3] C2[18] 0.5
 x[3,3] C6[0] 1
 x[3,3] C9[2] 1
 x[3,4] objective 0
 x[3,4] C1[3] 1
 x[3,4] C2[14] 1
 x[3,4] C2[19] 0.5
 x[3,4] C6[0] 1
 u[0] objective 0
 u[0] C2[0] -1
 u[0] C2[5] -1
 u[0] C2[10] -1
 u[0] C2[15] -1
 u[0] C2[20] -1
 u[0] C2[25] -1
 u[0] D3[0] 1
 u[0] D4[0] 1
 u[1] objective 0
 u[1] C2[1] -1
 u[1] C2[6] -1
 u[1] C2[11] -1
 u[1] C2[16] -1
 u[1] C2[21] -1
 u[1] C2[26] -1
 u[1] D3[1] 1
 u[1] D4[1] 1
 u[2] objective 0
 u[2] C2[2] -1
 u[2] C2[7] -1
 u[2] C2[12] -1
 u[2] C2[17] -1
 u[2] C2[22] -1
 u[2] C2[27] -1
 u[2] D3[2] 1
 u[2] D4[2] 1
 u[3] objective 0
 u[3] C2[3] -1
 u[3] C2[8] -1
 u[3] C2[13] -1
 u[3] C2[18] -1
 u[3] C2[23] -1
 u[3] C2[28] -1
 u[3] D3[3] 1
 u[3] D4[3] 1
 u[4] objective 0
 u[4] C2[4] -1
 u[4] C2[9] -1
 u[4] C2[14] -1
 u[4] C2[19] -1
 u[4] C2[24] -1
 u[4] C2[29] -1
 u[4] D3[4] 1
 u[4] D4[4] 1
 MARKER0 'MARKER' 'INTORG'
 y[0] objective 0
 y[0] D2[0] 1
 y[0] D3[0] -0.2
 y[1] objective 0
 y[1] D2[0] 1
 y[1] D3[0] -0.2
 y[1] D3[1] -0.09999999999999998
 y[1] D4[1] 0.2
 y[2] objective 0
 y[2] D2[0] 1
 y[2] D3[0] -0.2
 y[2] D3[1] -0.09999999999999998
 y[2] D3[2] -0.10000000000000003
 y[2] D4[2] 0.3
 y[3] objective 0
 y[3] D2[0] 1
 y[3] D3[0] -0.2
 y[3] D3[1] -0.09999999999999998
 y[3] D3[2] -0.10000000000000003
 y[3] D3[3] -0.09999999999999998
 y[3] D4[3] 0.4
 y[4] objective 0
 y[4] D2[0] 1
 y[4] D3[0] -0.2
 y[4] D3[1] -0.09999999999999998
 y[4] D3[2] -0.10000000000000003
 y[4] D3[3] -0.09999999999999998
 y[4] D3[4] -1
 y[4] D4[4] 0.5
 MARKER1 'MARKER' 'INTEND'
 T objective 5
 T D4[0] -1
 T D4[1] -1
 T D4[2] -1
 T D4[3] -1
 T D4[4] -1
RHS
 RHS C1[0] 0.6
 RHS C1[1] 0.4
 RHS C1[2] 0.4
 RHS C1[3] 0.2
 RHS D2[0] 1
RANGES
BOUNDS
 UP BOUND x[0,0] 0.6
 UP BOUND x[0,1] 0.6
 UP BOUND x[0,2] 0.6
 UP BOUND x[0,3] 0.6
 UP BOUND x[0,4] 0.6
 UP BOUND x[1,0] 0.4
 UP BOUND x[1,1] 0.4
 UP BOUND x[1,2] 0.4
 UP BOUND x[1,3] 0.4
 UP BOUND x[1,4] 0.4
 UP BOUND x[2,0] 0.4
 UP BOUND x[2,1] 0.4
 UP BOUND x[2,2] 0.4
 UP BOUND x[2,3] 0.4
 UP BOUND x[2,4] 0.4
 UP BOUND x[3,0] 0.2
 UP BOUND x[3,1] 0.2
 UP BOUND x[3,2] 0.2
 UP BOUND x[3,3] 0.2
 UP BOUND x[3,4] 0.2
 UP BOUND u[0] 0.2
 UP BOUND u[1] 0.09999999999999998
 UP BOUND u[2] 0.10000000000000003
 UP BOUND u[3] 0.09999999999999998
 UP BOUND u[4] 1
 UP BOUND y[0] 1
 UP BOUND y[1] 1
 UP BOUND y[2] 1
 UP BOUND y[3] 1
 UP BOUND y[4] 1
 UP BOUND T 1.5
ENDATA
