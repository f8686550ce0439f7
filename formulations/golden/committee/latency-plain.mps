NAME latency-plain
ROWS
 N objective
 L C1[0]
 L C2[0]
 L C4[0]
 L C4[1]
 L C5[0]
 L C5[1]
 L C5[2]
 L C5[3]
 L C5[4]
 L C5[5]
 L C5[6]
 L C5[7]
 E C5[8]
 E C5[9]
 E C5[10]
 E C5[11]
 E C5[12]
 E C5[13]
 L C5[14]
 L C5[15]
 L C5[16]
 L C5[17]
 L C5[18]
 L C5[19]
 E C5[20]
 E C5[21]
 E C5[22]
 E C5[23]
 E C5[24]
 E C5[25]
 E C5[26]
 E C5[27]
 E C5[28]
 E C5[29]
 E C5[30]
 E C5[31]
 E C5[32]
 E C5[33]
 E C5[34]
 E C5[35]
 E C5[36]
 E C5[37]
 L C5[38]
 L C5[39]
 L C5[40]
 L C5[41]
 L C5[42]
 L C5[43]
 L C5[44]
 L C5[45]
 L C5[46]
 L C5[47]
 L C5[48]
 L C5[49]
 L C5[50]
 L C5[51]
 L C5[52]
 L C5[53]
 L C5[54]
 L C5[55]
 L C5[56]
 L C5[57]
 L C5[58]
 L C5[59]
 L C5[60]
 L C5[61]
 L C5[62]
 L C5[63]
 L C5[64]
 L C5[65]
 L C5[66]
 L C5[67]
 L C5[68]
 L C5[69]
 L C5[70]
 L C5[71]
 L C5[72]
 L C5[73]
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
 L C6[12]
 L C6[13]
 L C6[14]
 L C6[15]
 L C6[16]
 L C6[17]
 L C6[18]
 L C6[19]
 L C6[20]
 L C6[21]
 L C6[22]
 L C6[23]
 L C6[24]
 L C6[25]
 L C6[26]
 L C6[27]
 L C6[28]
 L C6[29]
 L C6[30]
 L C6[31]
 L C6[32]
 L C6[33]
 L C6[34]
 L C6[35]
 L C7[0]
 L C7[1]
 L C7[2]
 L C7[3]
 E D1[0]
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
 q[0] C6[12] -1
 q[0] C6[13] -1
 q[0] C6[14] -1
 q[0] C6[15] -1
 q[0] C6[16] -1
 q[0] C6[17] -1
 q[0] C6[18] -1
 q[0] C6[19] -1
 q[0] C6[20] -1
 q[0] C6[21] -1
 q[0] C6[22] -1
 q[0] C6[23] -1
 q[0] C6[24] -1
 q[0] C6[25] -1
 q[0] C6[26] -1
 q[0] C6[27] -1
 q[0] C6[28] -1
 q[0] C6[29] -1
 q[0] C6[30] -1
 q[0] C6[31] -1
 q[0] C6[32] -1
 q[0] C6[33] -1
 q[0] C6[34] -1
 q[0] C6[35] -1
 q[0] C7[0] 1
 q[0] D1[0] 1
 q[1] objective 0
 q[1] C6[12] -1
 q[1] C6[13] -1
 q[1] C6[14] -1
 q[1] C6[15] -1
 q[1] C6[16] -1
 q[1] C6[17] -1
 q[1] C6[18] -1
 q[1] C6[19] -1
 q[1] C6[20] -1
 q[1] C6[21] -1
 q[1] C6[22] -1
 q[1] C6[23] -1
 q[1] C7[1] 1
 q[1] D1[0] 1
 q[2] objective 0
 q[2] C6[24] -1
 q[2] C6[25] -1
 q[2] C6[26] -1
 q[2] C6[27] -1
 q[2] C6[28] -1
 q[2] C6[29] -1
 q[2] C6[30] -1
 q[2] C6[31] -1
 q[2] C6[32] -1
 q[2] C6[33] -1
 q[2] C6[34] -1
 q[2] C6[35] -1
 q[2] C7[2] 1
 q[2] D1[0] 1
 q[3] objective 0
 q[3] C7[3] 1
 q[3] D1[0] 1
 k[0] objective 0
 k[0] C1[0] 1
 k[0] C2[0] 1
 k[0] C4[0] 1
 k[0] C5[0] -1
 k[0] C5[2] -1
 k[0] C5[4] -1
 k[0] C5[6] -1
 k[1] objective 0
 k[1] C1[0] 1
 k[1] C2[0] 1.5
 k[1] C4[1] 1
 k[1] C5[1] -1
 k[1] C5[3] -1
 k[1] C5[5] -1
 k[1] C5[7] -1
 x[0,0,0] objective -5
 x[0,0,0] C5[0] 1
 x[0,0,0] C5[8] 1
 x[0,0,0] C5[20] -1
 x[0,0,0] C5[38] 1
 x[0,0,0] C5[56] -1
 x[0,0,1] objective -1
 x[0,0,1] C5[0] 1
 x[0,0,1] C5[9] 1
 x[0,0,1] C5[21] -1
 x[0,0,1] C5[39] 1
 x[0,0,1] C5[57] -1
 x[0,0,2] objective 0
 x[0,0,2] C5[0] 1
 x[0,0,2] C5[10] 1
 x[0,0,2] C5[22] -1
 x[0,0,2] C5[40] 1
 x[0,0,2] C5[58] -1
 x[0,1,0] objective -2
 x[0,1,0] C5[1] 1
 x[0,1,0] C5[11] 1
 x[0,1,0] C5[23] -1
 x[0,1,0] C5[41] 1
 x[0,1,0] C5[59] -1
 x[0,1,1] objective -2
 x[0,1,1] C5[1] 1
 x[0,1,1] C5[12] 1
 x[0,1,1] C5[24] -1
 x[0,1,1] C5[42] 1
 x[0,1,1] C5[60] -1
 x[0,1,2] objective -3
 x[0,1,2] C5[1] 1
 x[0,1,2] C5[13] 1
 x[0,1,2] C5[25] -1
 x[0,1,2] C5[43] 1
 x[0,1,2] C5[61] -1
 x[1,0,0] objective -1
 x[1,0,0] C5[2] 1
 x[1,0,0] C5[20] 1
 x[1,0,0] C5[26] -1
 x[1,0,0] C5[44] 1
 x[1,0,0] C5[62] -1
 x[1,0,1] objective -4
 x[1,0,1] C5[2] 1
 x[1,0,1] C5[21] 1
 x[1,0,1] C5[27] -1
 x[1,0,1] C5[45] 1
 x[1,0,1] C5[63] -1
 x[1,0,2] objective 0
 x[1,0,2] C5[2] 1
 x[1,0,2] C5[22] 1
 x[1,0,2] C5[28] -1
 x[1,0,2] C5[46] 1
 x[1,0,2] C5[64] -1
 x[1,1,0] objective -3
 x[1,1,0] C5[3] 1
 x[1,1,0] C5[23] 1
 x[1,1,0] C5[29] -1
 x[1,1,0] C5[47] 1
 x[1,1,0] C5[65] -1
 x[1,1,1] objective 0
 x[1,1,1] C5[3] 1
 x[1,1,1] C5[24] 1
 x[1,1,1] C5[30] -1
 x[1,1,1] C5[48] 1
 x[1,1,1] C5[66] -1
 x[1,1,2] objective -1
 x[1,1,2] C5[3] 1
 x[1,1,2] C5[25] 1
 x[1,1,2] C5[31] -1
 x[1,1,2] C5[49] 1
 x[1,1,2] C5[67] -1
 x[2,0,0] objective 0
 x[2,0,0] C5[4] 1
 x[2,0,0] C5[26] 1
 x[2,0,0] C5[32] -1
 x[2,0,0] C5[50] 1
 x[2,0,0] C5[68] -1
 x[2,0,1] objective -6
 x[2,0,1] C5[4] 1
 x[2,0,1] C5[27] 1
 x[2,0,1] C5[33] -1
 x[2,0,1] C5[51] 1
 x[2,0,1] C5[69] -1
 x[2,0,2] objective -2
 x[2,0,2] C5[4] 1
 x[2,0,2] C5[28] 1
 x[2,0,2] C5[34] -1
 x[2,0,2] C5[52] 1
 x[2,0,2] C5[70] -1
 x[2,1,0] objective -1
 x[2,1,0] C5[5] 1
 x[2,1,0] C5[29] 1
 x[2,1,0] C5[35] -1
 x[2,1,0] C5[53] 1
 x[2,1,0] C5[71] -1
 x[2,1,1] objective -4
 x[2,1,1] C5[5] 1
 x[2,1,1] C5[30] 1
 x[2,1,1] C5[36] -1
 x[2,1,1] C5[54] 1
 x[2,1,1] C5[72] -1
 x[2,1,2] objective 0
 x[2,1,2] C5[5] 1
 x[2,1,2] C5[31] 1
 x[2,1,2] C5[37] -1
 x[2,1,2] C5[55] 1
 x[2,1,2] C5[73] -1
 x[3,0,0] objective -3
 x[3,0,0] C5[6] 1
 x[3,0,0] C5[32] 1
 x[3,0,1] objective -2
 x[3,0,1] C5[6] 1
 x[3,0,1] C5[33] 1
 x[3,0,2] objective -4
 x[3,0,2] C5[6] 1
 x[3,0,2] C5[34] 1
 x[3,1,0] objective 0
 x[3,1,0] C5[7] 1
 x[3,1,0] C5[35] 1
 x[3,1,1] objective -5
 x[3,1,1] C5[7] 1
 x[3,1,1] C5[36] 1
 x[3,1,2] objective -1
 x[3,1,2] C5[7] 1
 x[3,1,2] C5[37] 1
 y[0,0,0] objective 0
 y[0,0,0] C5[8] -1
 y[0,0,1] objective 0
 y[0,0,1] C5[9] -1
 y[0,0,2] objective 0
 y[0,0,2] C5[10] -1
 y[0,1,0] objective 0
 y[0,1,0] C5[11] -1
 y[0,1,1] objective 0
 y[0,1,1] C5[12] -1
 y[0,1,2] objective 0
 y[0,1,2] C5[13] -1
 y[1,0,0] objective 0
 y[1,0,0] C5[20] -1
 y[1,0,0] C5[38] 1
 y[1,0,0] C6[0] 1
 y[1,0,1] objective 0
 y[1,0,1] C5[21] -1
 y[1,0,1] C5[39] 1
 y[1,0,1] C6[1] 1
 y[1,0,2] objective 0
 y[1,0,2] C5[22] -1
 y[1,0,2] C5[40] 1
 y[1,0,2] C6[2] 1
 y[1,1,0] objective 0
 y[1,1,0] C5[23] -1
 y[1,1,0] C5[41] 1
 y[1,1,0] C6[3] 1
 y[1,1,1] objective 0
 y[1,1,1] C5[24] -1
 y[1,1,1] C5[42] 1
 y[1,1,1] C6[4] 1
 y[1,1,2] objective 0
 y[1,1,2] C5[25] -1
 y[1,1,2] C5[43] 1
 y[1,1,2] C6[5] 1
 y[2,0,0] objective 0
 y[2,0,0] C5[26] -1
 y[2,0,0] C5[44] 1
 y[2,0,0] C6[12] 1
 y[2,0,1] objective 0
 y[2,0,1] C5[27] -1
 y[2,0,1] C5[45] 1
 y[2,0,1] C6[13] 1
 y[2,0,2] objective 0
 y[2,0,2] C5[28] -1
 y[2,0,2] C5[46] 1
 y[2,0,2] C6[14] 1
 y[2,1,0] objective 0
 y[2,1,0] C5[29] -1
 y[2,1,0] C5[47] 1
 y[2,1,0] C6[15] 1
 y[2,1,1] objective 0
 y[2,1,1] C5[30] -1
 y[2,1,1] C5[48] 1
 y[2,1,1] C6[16] 1
 y[2,1,2] objective 0
 y[2,1,2] C5[31] -1
 y[2,1,2] C5[49] 1
 y[2,1,2] C6[17] 1
 y[3,0,0] objective 0
 y[3,0,0] C5[32] -1
 y[3,0,0] C5[50] 1
 y[3,0,0] C6[24] 1
 y[3,0,1] objective 0
 y[3,0,1] C5[33] -1
 y[3,0,1] C5[51] 1
 y[3,0,1] C6[25] 1
 y[3,0,2] objective 0
 y[3,0,2] C5[34] -1
 y[3,0,2] C5[52] 1
 y[3,0,2] C6[26] 1
 y[3,1,0] objective 0
 y[3,1,0] C5[35] -1
 y[3,1,0] C5[53] 1
 y[3,1,0] C6[27] 1
 y[3,1,1] objective 0
 y[3,1,1] C5[36] -1
 y[3,1,1] C5[54] 1
 y[3,1,1] C6[28] 1
 y[3,1,2] objective 0
 y[3,1,2] C5[37] -1
 y[3,1,2] C5[55] 1
 y[3,1,2] C6[29] 1
 d[0,0,0] objective 0
 d[0,0,0] C5[14] 1
 d[0,0,1] objective 0
 d[0,0,1] C5[15] 1
 d[0,0,2] objective 0
 d[0,0,2] C5[16] 1
 d[0,1,0] objective 0
 d[0,1,0] C5[17] 1
 d[0,1,1] objective 0
 d[0,1,1] C5[18] 1
 d[0,1,2] objective 0
 d[0,1,2] C5[19] 1
 d[1,0,0] objective 0
 d[1,0,0] C5[20] 1
 d[1,0,0] C5[56] 1
 d[1,0,0] C6[6] 1
 d[1,0,1] objective 0
 d[1,0,1] C5[21] 1
 d[1,0,1] C5[57] 1
 d[1,0,1] C6[7] 1
 d[1,0,2] objective 0
 d[1,0,2] C5[22] 1
 d[1,0,2] C5[58] 1
 d[1,0,2] C6[8] 1
 d[1,1,0] objective 0
 d[1,1,0] C5[23] 1
 d[1,1,0] C5[59] 1
 d[1,1,0] C6[9] 1
 d[1,1,1] objective 0
 d[1,1,1] C5[24] 1
 d[1,1,1] C5[60] 1
 d[1,1,1] C6[10] 1
 d[1,1,2] objective 0
 d[1,1,2] C5[25] 1
 d[1,1,2] C5[61] 1
 d[1,1,2] C6[11] 1
 d[2,0,0] objective 0
 d[2,0,0] C5[26] 1
 d[2,0,0] C5[62] 1
 d[2,0,0] C6[18] 1
 d[2,0,1] objective 0
 d[2,0,1] C5[27] 1
 d[2,0,1] C5[63] 1
 d[2,0,1] C6[19] 1
 d[2,0,2] objective 0
 d[2,0,2] C5[28] 1
 d[2,0,2] C5[64] 1
 d[2,0,2] C6[20] 1
 d[2,1,0] objective 0
 d[2,1,0] C5[29] 1
 d[2,1,0] C5[65] 1
 d[2,1,0] C6[21] 1
 d[2,1,1] objective 0
 d[2,1,1] C5[30] 1
 d[2,1,1] C5[66] 1
 d[2,1,1] C6[22] 1
 d[2,1,2] objective 0
 d[2,1,2] C5[31] 1
 d[2,1,2] C5[67] 1
 d[2,1,2] C6[23] 1
 d[3,0,0] objective 0
 d[3,0,0] C5[32] 1
 d[3,0,0] C5[68] 1
 d[3,0,0] C6[30] 1
 d[3,0,1] objective 0
 d[3,0,1] C5[33] 1
 d[3,0,1] C5[69] 1
 d[3,0,1] C6[31] 1
 d[3,0,2] objective 0
 d[3,0,2] C5[34] 1
 d[3,0,2] C5[70] 1
 d[3,0,2] C6[32] 1
 d[3,1,0] objective 0
 d[3,1,0] C5[35] 1
 d[3,1,0] C5[71] 1
 d[3,1,0] C6[33] 1
 d[3,1,1] objective 0
 d[3,1,1] C5[36] 1
 d[3,1,1] C5[72] 1
 d[3,1,1] C6[34] 1
 d[3,1,2] objective 0
 d[3,1,2] C5[37] 1
 d[3,1,2] C5[73] 1
 d[3,1,2] C6[35] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -50
 RHS C1[0] 6
 RHS C2[0] 3.5000000035000003
 RHS C4[0] 3
 RHS C4[1] 3
 RHS C5[38] 1
 RHS C5[39] 1
 RHS C5[40] 1
 RHS C5[41] 1
 RHS C5[42] 1
 RHS C5[43] 1
 RHS C5[44] 1
 RHS C5[45] 1
 RHS C5[46] 1
 RHS C5[47] 1
 RHS C5[48] 1
 RHS C5[49] 1
 RHS C5[50] 1
 RHS C5[51] 1
 RHS C5[52] 1
 RHS C5[53] 1
 RHS C5[54] 1
 RHS C5[55] 1
 RHS C7[0] 1
 RHS D1[0] 1
RANGES
 RANGE C4[0] 3
 RANGE C4[1] 3
BOUNDS
 UP BOUND q[0] 1
 UP BOUND q[1] 1
 UP BOUND q[2] 1
 UP BOUND q[3] 1
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
 UP BOUND y[3,0,0] 1
 UP BOUND y[3,0,1] 1
 UP BOUND y[3,0,2] 1
 UP BOUND y[3,1,0] 1
 UP BOUND y[3,1,1] 1
 UP BOUND y[3,1,2] 1
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
 UP BOUND d[2,0,0] 1
 UP BOUND d[2,0,1] 1
 UP BOUND d[2,0,2] 1
 UP BOUND d[2,1,0] 1
 UP BOUND d[2,1,1] 1
 UP BOUND d[2,1,2] 1
 UP BOUND d[3,0,0] 1
 UP BOUND d[3,0,1] 1
 UP BOUND d[3,0,2] 1
 UP BOUND d[3,1,0] 1
 UP BOUND d[3,1,1] 1
 UP BOUND d[3,1,2] 1
ENDATA
