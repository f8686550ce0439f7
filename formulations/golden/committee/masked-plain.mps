NAME masked-plain
ROWS
 N objective
 L C1[0]
 L C4[0]
 L C4[1]
 L C5[0]
 L C5[1]
 L C5[2]
 L C5[3]
 E C5[4]
 E C5[5]
 E C5[6]
 E C5[7]
 E C5[8]
 E C5[9]
 L C5[10]
 L C5[11]
 L C5[12]
 L C5[13]
 L C5[14]
 L C5[15]
 E C5[16]
 E C5[17]
 E C5[18]
 E C5[19]
 E C5[20]
 E C5[21]
 L C5[22]
 L C5[23]
 L C5[24]
 L C5[25]
 L C5[26]
 L C5[27]
 L C5[28]
 L C5[29]
 L C5[30]
 L C5[31]
 L C5[32]
 L C5[33]
 L C6[0]
 L C6[1]
 L C6[2]
 L C6[3]
 L C6[4]
 L C6[5]
 L C6[6]
 L C6[7]
 L C6[8]
 L C6[9]
 L C6[10]
 L C6[11]
 L C7[0]
 L C7[1]
 E D1[0]
 L D2[0]
 L D2[1]
 L D2[2]
 L D2[3]
 L D2[4]
 L D2[5]
 L D2[6]
 L D2[7]
 L D3[0]
 L D3[1]
 L D3[2]
 L D3[3]
 L D3[4]
 L D3[5]
 L D3[6]
 L D3[7]
 L D3[8]
 L D3[9]
 L D3[10]
 L D3[11]
 L D3[12]
 L D3[13]
 L D3[14]
 L D3[15]
 L D3[16]
 L D3[17]
 L D3[18]
 L D3[19]
 L D3[20]
 L D3[21]
 L D3[22]
 L D3[23]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 q[0] objective 0
 q[0] C6[0] -1
 q[0] C6[1] -1
 q[0] C6[2] -1
 q[0] C6[3] -1
 q[0] C6[4] -1
 q[0] C6[5] -1
 q[0] C6[6] -1
 q[0] C6[7] -1
 q[0] C6[8] -1
 q[0] C6[9] -1
 q[0] C6[10] -1
 q[0] C6[11] -1
 q[0] C7[0] 1
 q[0] D1[0] 1
 q[1] objective 0
 q[1] C7[1] 1
 q[1] D1[0] 1
 k[0] objective 0
 k[0] C1[0] 1
 k[0] C4[0] 1
 k[0] C5[0] -1
 k[0] C5[2] -1
 k[1] objective 0
 k[1] C1[0] 1
 k[1] C4[1] 1
 k[1] C5[1] -1
 k[1] C5[3] -1
 x[0,0,0] objective 0
 x[0,0,0] C5[0] 1
 x[0,0,0] C5[4] 1
 x[0,0,0] C5[16] -1
 x[0,0,0] C5[22] 1
 x[0,0,0] C5[28] -1
 x[0,0,0] D3[0] -1
 x[0,0,0] D3[6] -1
 x[0,0,1] objective 0
 x[0,0,1] C5[0] 1
 x[0,0,1] C5[5] 1
 x[0,0,1] C5[17] -1
 x[0,0,1] C5[23] 1
 x[0,0,1] C5[29] -1
 x[0,0,1] D3[1] -1
 x[0,0,1] D3[7] -1
 x[0,0,2] objective 0
 x[0,0,2] C5[0] 1
 x[0,0,2] C5[6] 1
 x[0,0,2] C5[18] -1
 x[0,0,2] C5[24] 1
 x[0,0,2] C5[30] -1
 x[0,0,2] D3[2] -1
 x[0,0,2] D3[8] -1
 x[0,1,0] objective 0
 x[0,1,0] C5[1] 1
 x[0,1,0] C5[7] 1
 x[0,1,0] C5[19] -1
 x[0,1,0] C5[25] 1
 x[0,1,0] C5[31] -1
 x[0,1,0] D3[3] -1
 x[0,1,0] D3[9] -1
 x[0,1,1] objective 0
 x[0,1,1] C5[1] 1
 x[0,1,1] C5[8] 1
 x[0,1,1] C5[20] -1
 x[0,1,1] C5[26] 1
 x[0,1,1] C5[32] -1
 x[0,1,1] D3[4] -1
 x[0,1,1] D3[10] -1
 x[0,1,2] objective 0
 x[0,1,2] C5[1] 1
 x[0,1,2] C5[9] 1
 x[0,1,2] C5[21] -1
 x[0,1,2] C5[27] 1
 x[0,1,2] C5[33] -1
 x[0,1,2] D3[5] -1
 x[0,1,2] D3[11] -1
 x[1,0,0] objective 0
 x[1,0,0] C5[2] 1
 x[1,0,0] C5[16] 1
 x[1,0,0] D3[12] -1
 x[1,0,0] D3[18] -1
 x[1,0,1] objective 0
 x[1,0,1] C5[2] 1
 x[1,0,1] C5[17] 1
 x[1,0,1] D3[13] -1
 x[1,0,1] D3[19] -1
 x[1,0,2] objective 0
 x[1,0,2] C5[2] 1
 x[1,0,2] C5[18] 1
 x[1,0,2] D3[14] -1
 x[1,0,2] D3[20] -1
 x[1,1,0] objective 0
 x[1,1,0] C5[3] 1
 x[1,1,0] C5[19] 1
 x[1,1,0] D3[15] -1
 x[1,1,0] D3[21] -1
 x[1,1,1] objective 0
 x[1,1,1] C5[3] 1
 x[1,1,1] C5[20] 1
 x[1,1,1] D3[16] -1
 x[1,1,1] D3[22] -1
 x[1,1,2] objective 0
 x[1,1,2] C5[3] 1
 x[1,1,2] C5[21] 1
 x[1,1,2] D3[17] -1
 x[1,1,2] D3[23] -1
 y[0,0,0] objective 0
 y[0,0,0] C5[4] -1
 y[0,0,1] objective 0
 y[0,0,1] C5[5] -1
 y[0,0,2] objective 0
 y[0,0,2] C5[6] -1
 y[0,1,0] objective 0
 y[0,1,0] C5[7] -1
 y[0,1,1] objective 0
 y[0,1,1] C5[8] -1
 y[0,1,2] objective 0
 y[0,1,2] C5[9] -1
 y[1,0,0] objective 0
 y[1,0,0] C5[16] -1
 y[1,0,0] C5[22] 1
 y[1,0,0] C6[0] 1
 y[1,0,1] objective 0
 y[1,0,1] C5[17] -1
 y[1,0,1] C5[23] 1
 y[1,0,1] C6[1] 1
 y[1,0,2] objective 0
 y[1,0,2] C5[18] -1
 y[1,0,2] C5[24] 1
 y[1,0,2] C6[2] 1
 y[1,1,0] objective 0
 y[1,1,0] C5[19] -1
 y[1,1,0] C5[25] 1
 y[1,1,0] C6[3] 1
 y[1,1,1] objective 0
 y[1,1,1] C5[20] -1
 y[1,1,1] C5[26] 1
 y[1,1,1] C6[4] 1
 y[1,1,2] objective 0
 y[1,1,2] C5[21] -1
 y[1,1,2] C5[27] 1
 y[1,1,2] C6[5] 1
 d[0,0,0] objective 0
 d[0,0,0] C5[10] 1
 d[0,0,1] objective 0
 d[0,0,1] C5[11] 1
 d[0,0,2] objective 0
 d[0,0,2] C5[12] 1
 d[0,1,0] objective 0
 d[0,1,0] C5[13] 1
 d[0,1,1] objective 0
 d[0,1,1] C5[14] 1
 d[0,1,2] objective 0
 d[0,1,2] C5[15] 1
 d[1,0,0] objective 0
 d[1,0,0] C5[16] 1
 d[1,0,0] C5[28] 1
 d[1,0,0] C6[6] 1
 d[1,0,1] objective 0
 d[1,0,1] C5[17] 1
 d[1,0,1] C5[29] 1
 d[1,0,1] C6[7] 1
 d[1,0,2] objective 0
 d[1,0,2] C5[18] 1
 d[1,0,2] C5[30] 1
 d[1,0,2] C6[8] 1
 d[1,1,0] objective 0
 d[1,1,0] C5[19] 1
 d[1,1,0] C5[31] 1
 d[1,1,0] C6[9] 1
 d[1,1,1] objective 0
 d[1,1,1] C5[20] 1
 d[1,1,1] C5[32] 1
 d[1,1,1] C6[10] 1
 d[1,1,2] objective 0
 d[1,1,2] C5[21] 1
 d[1,1,2] C5[33] 1
 d[1,1,2] C6[11] 1
 a[0,0,0] objective -4
 a[0,0,0] D2[0] 1
 a[0,0,0] D3[0] 1
 a[0,0,1] objective -3
 a[0,0,1] D2[0] 1
 a[0,0,1] D3[1] 1
 a[0,0,2] objective -1
 a[0,0,2] D2[0] 1
 a[0,0,2] D3[2] 1
 a[0,1,0] objective 0
 a[0,1,0] D2[1] 1
 a[0,1,0] D3[3] 1
 a[0,1,1] objective -2
 a[0,1,1] D2[1] 1
 a[0,1,1] D3[4] 1
 a[0,1,2] objective -5
 a[0,1,2] D2[1] 1
 a[0,1,2] D3[5] 1
 a[1,0,0] objective -3
 a[1,0,0] D2[2] 1
 a[1,0,0] D3[6] 1
 a[1,0,1] objective -4
 a[1,0,1] D2[2] 1
 a[1,0,1] D3[7] 1
 a[1,0,2] objective -2
 a[1,0,2] D2[2] 1
 a[1,0,2] D3[8] 1
 a[1,1,0] objective -1
 a[1,1,0] D2[3] 1
 a[1,1,0] D3[9] 1
 a[1,1,1] objective -6
 a[1,1,1] D2[3] 1
 a[1,1,1] D3[10] 1
 a[1,1,2] objective 0
 a[1,1,2] D2[3] 1
 a[1,1,2] D3[11] 1
 a[2,0,0] objective 0
 a[2,0,0] D2[4] 1
 a[2,0,0] D3[12] 1
 a[2,0,1] objective -5
 a[2,0,1] D2[4] 1
 a[2,0,1] D3[13] 1
 a[2,0,2] objective -4
 a[2,0,2] D2[4] 1
 a[2,0,2] D3[14] 1
 a[2,1,0] objective -2
 a[2,1,0] D2[5] 1
 a[2,1,0] D3[15] 1
 a[2,1,1] objective -3
 a[2,1,1] D2[5] 1
 a[2,1,1] D3[16] 1
 a[2,1,2] objective -3
 a[2,1,2] D2[5] 1
 a[2,1,2] D3[17] 1
 a[3,0,0] objective -1
 a[3,0,0] D2[6] 1
 a[3,0,0] D3[18] 1
 a[3,0,1] objective 0
 a[3,0,1] D2[6] 1
 a[3,0,1] D3[19] 1
 a[3,0,2] objective -7
 a[3,0,2] D2[6] 1
 a[3,0,2] D3[20] 1
 a[3,1,0] objective -4
 a[3,1,0] D2[7] 1
 a[3,1,0] D3[21] 1
 a[3,1,1] objective 0
 a[3,1,1] D2[7] 1
 a[3,1,1] D3[22] 1
 a[3,1,2] objective -2
 a[3,1,2] D2[7] 1
 a[3,1,2] D3[23] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -38
 RHS C1[0] 3
 RHS C4[0] 3
 RHS C4[1] 3
 RHS C5[22] 1
 RHS C5[23] 1
 RHS C5[24] 1
 RHS C5[25] 1
 RHS C5[26] 1
 RHS C5[27] 1
 RHS C7[0] 1
 RHS D1[0] 1
 RHS D2[0] 1
 RHS D2[1] 1
 RHS D2[2] 1
 RHS D2[3] 1
 RHS D2[4] 1
 RHS D2[5] 1
 RHS D2[6] 1
 RHS D2[7] 1
RANGES
 RANGE C4[0] 3
 RANGE C4[1] 3
BOUNDS
 UP BOUND q[0] 1
 UP BOUND q[1] 1
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
 UP BOUND y[1,0,0] 1
 UP BOUND y[1,0,1] 1
 UP BOUND y[1,0,2] 1
 UP BOUND y[1,1,0] 1
 UP BOUND y[1,1,1] 1
 UP BOUND y[1,1,2] 1
 UP BOUND d[0,0,0] 1
 UP BOUND d[0,0,1] 1
 UP BOUND d[0,0,2] 1
 UP BOUND d[0,1,0] 1
 UP BOUND d[0,1,1] 1
 UP BOUND d[0,1,2] 1
 UP BOUND d[1,0,0] 1
 UP BOUND d[1,0,1] 1
 UP BOUND d[1,0,2] 1
 UP BOUND d[1,1,0] 1
 UP BOUND d[1,1,1] 1
 UP BOUND d[1,1,2] 1
 UP BOUND a[0,0,0] 1
 UP BOUND a[0,0,1] 1
 UP BOUND a[0,0,2] 1
 UP BOUND a[0,1,0] 1
 UP BOUND a[0,1,1] 1
 UP BOUND a[0,1,2] 1
 UP BOUND a[1,0,0] 1
 UP BOUND a[1,0,1] 1
 UP BOUND a[1,0,2] 1
 UP BOUND a[1,1,0] 1
 UP BOUND a[1,1,1] 1
 UP BOUND a[1,1,2] 1
 UP BOUND a[2,0,0] 1
 UP BOUND a[2,0,1] 1
 UP BOUND a[2,0,2] 1
 UP BOUND a[2,1,0] 1
 UP BOUND a[2,1,1] 1
 UP BOUND a[2,1,2] 1
 UP BOUND a[3,0,0] 1
 UP BOUND a[3,0,1] 1
 UP BOUND a[3,0,2] 1
 UP BOUND a[3,1,0] 1
 UP BOUND a[3,1,1] 1
 UP BOUND a[3,1,2] 1
ENDATA
