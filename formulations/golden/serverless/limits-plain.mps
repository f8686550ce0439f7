NAME limits-plain
ROWS
 N objective
 E D1[0]
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
 L D2[10]
 L D2[11]
 E C1[0]
 E C1[1]
 L C2[0]
 L C2[1]
 L C3[0]
 L C3[1]
 L C4[0]
 L C4[1]
 L C5[0]
 L C5[1]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 z0[0] objective 0
 z0[0] D1[0] 1
 z0[0] D2[0] -1
 z0[0] D2[1] -1
 z0[1] objective 0
 z0[1] D1[0] 1
 z0[1] D2[2] -1
 z0[1] D2[3] -1
 z0[2] objective 0
 z0[2] D1[0] 1
 z0[2] D2[4] -1
 z0[2] D2[5] -1
 z0[3] objective 0
 z0[3] D1[0] 1
 z0[3] D2[6] -1
 z0[3] D2[7] -1
 z0[4] objective 0
 z0[4] D1[0] 1
 z0[4] D2[8] -1
 z0[4] D2[9] -1
 z0[5] objective 0
 z0[5] D1[0] 1
 z0[5] D2[10] -1
 z0[5] D2[11] -1
 x0[0] objective 0
 x0[0] D2[0] 1
 x0[0] C1[0] 1
 x0[0] C2[0] 1
 x0[1] objective 8.5
 x0[1] D2[0] 1
 x0[1] C1[0] 1
 x0[1] C3[0] 0.0029296875
 x0[1] C5[0] 2.125
 x0[2] objective 10.75
 x0[2] D2[0] 1
 x0[2] C1[0] 1
 x0[2] C3[0] 0.00048828125
 x0[2] C5[0] 1.34375
 x0[3] objective 0
 x0[3] D2[0] 1
 x0[3] C1[0] 1
 x0[3] C2[0] 1
 x0[4] objective 10.75
 x0[4] D2[0] 1
 x0[4] C1[0] 1
 x0[4] C3[0] -0.4970703125
 x0[4] C5[0] 1.34375
 x0[5] objective 15.25
 x0[5] D2[0] 1
 x0[5] C1[0] 1
 x0[5] C3[0] -0.49951171875
 x0[5] C5[0] 0.953125
 x0[6] objective 0
 x0[6] D2[1] 1
 x0[6] C1[1] 1
 x0[6] C2[1] 1
 x0[7] objective 4.75
 x0[7] D2[1] 1
 x0[7] C1[1] 1
 x0[7] C5[1] 1.1875
 x0[8] objective 7
 x0[8] D2[1] 1
 x0[8] C1[1] 1
 x0[8] C3[1] -0.0009765625
 x0[8] C5[1] 0.875
 x0[9] objective 0
 x0[9] D2[1] 1
 x0[9] C1[1] 1
 x0[9] C2[1] 1
 x0[10] objective 7
 x0[10] D2[1] 1
 x0[10] C1[1] 1
 x0[10] C3[1] -0.5
 x0[10] C5[1] 0.875
 x0[11] objective 11.5
 x0[11] D2[1] 1
 x0[11] C1[1] 1
 x0[11] C3[1] -0.5009765625
 x0[11] C5[1] 0.71875
 x0[12] objective 0
 x0[12] D2[2] 1
 x0[12] C1[0] 1
 x0[12] C2[0] 1
 x0[13] objective 8
 x0[13] D2[2] 1
 x0[13] C1[0] 1
 x0[13] C3[0] 0.0029296875
 x0[13] C4[0] 1.25
 x0[13] C5[0] 2
 x0[14] objective 9.75
 x0[14] D2[2] 1
 x0[14] C1[0] 1
 x0[14] C3[0] 0.00048828125
 x0[14] C4[0] 0.625
 x0[14] C5[0] 1.21875
 x0[15] objective 0
 x0[15] D2[2] 1
 x0[15] C1[0] 1
 x0[15] C2[0] 1
 x0[16] objective 9.75
 x0[16] D2[2] 1
 x0[16] C1[0] 1
 x0[16] C3[0] -0.4970703125
 x0[16] C4[0] 1.25
 x0[16] C5[0] 1.21875
 x0[17] objective 13.25
 x0[17] D2[2] 1
 x0[17] C1[0] 1
 x0[17] C3[0] -0.49951171875
 x0[17] C4[0] 0.625
 x0[17] C5[0] 0.828125
 x0[18] objective 0
 x0[18] D2[3] 1
 x0[18] C1[1] 1
 x0[18] C2[1] 1
 x0[19] objective 4.25
 x0[19] D2[3] 1
 x0[19] C1[1] 1
 x0[19] C4[1] 0.5
 x0[19] C5[1] 1.0625
 x0[20] objective 6
 x0[20] D2[3] 1
 x0[20] C1[1] 1
 x0[20] C3[1] -0.0009765625
 x0[20] C4[1] 0.25
 x0[20] C5[1] 0.75
 x0[21] objective 0
 x0[21] D2[3] 1
 x0[21] C1[1] 1
 x0[21] C2[1] 1
 x0[22] objective 6
 x0[22] D2[3] 1
 x0[22] C1[1] 1
 x0[22] C3[1] -0.5
 x0[22] C4[1] 0.5
 x0[22] C5[1] 0.75
 x0[23] objective 9.5
 x0[23] D2[3] 1
 x0[23] C1[1] 1
 x0[23] C3[1] -0.5009765625
 x0[23] C4[1] 0.25
 x0[23] C5[1] 0.59375
 x0[24] objective 0
 x0[24] D2[4] 1
 x0[24] C1[0] 1
 x0[24] C2[0] 1
 x0[25] objective 8.5
 x0[25] D2[4] 1
 x0[25] C1[0] 1
 x0[25] C3[0] 0.0029296875
 x0[25] C5[0] 2.125
 x0[26] objective 10.75
 x0[26] D2[4] 1
 x0[26] C1[0] 1
 x0[26] C3[0] 0.00048828125
 x0[26] C5[0] 1.34375
 x0[27] objective 0
 x0[27] D2[4] 1
 x0[27] C1[0] 1
 x0[27] C2[0] 1
 x0[28] objective 10.75
 x0[28] D2[4] 1
 x0[28] C1[0] 1
 x0[28] C3[0] -0.4970703125
 x0[28] C5[0] 1.34375
 x0[29] objective 15.25
 x0[29] D2[4] 1
 x0[29] C1[0] 1
 x0[29] C3[0] -0.49951171875
 x0[29] C5[0] 0.953125
 x0[30] objective 0
 x0[30] D2[5] 1
 x0[30] C1[1] 1
 x0[30] C2[1] 1
 x0[31] objective 4.75
 x0[31] D2[5] 1
 x0[31] C1[1] 1
 x0[31] C5[1] 1.1875
 x0[32] objective 7
 x0[32] D2[5] 1
 x0[32] C1[1] 1
 x0[32] C3[1] -0.0009765625
 x0[32] C5[1] 0.875
 x0[33] objective 0
 x0[33] D2[5] 1
 x0[33] C1[1] 1
 x0[33] C2[1] 1
 x0[34] objective 7
 x0[34] D2[5] 1
 x0[34] C1[1] 1
 x0[34] C3[1] -0.5
 x0[34] C5[1] 0.875
 x0[35] objective 11.5
 x0[35] D2[5] 1
 x0[35] C1[1] 1
 x0[35] C3[1] -0.5009765625
 x0[35] C5[1] 0.71875
 x0[36] objective 0
 x0[36] D2[6] 1
 x0[36] C1[0] 1
 x0[36] C2[0] 1
 x0[37] objective 8.4375
 x0[37] D2[6] 1
 x0[37] C1[0] 1
 x0[37] C3[0] 0.0029296875
 x0[37] C5[0] 2.109375
 x0[38] objective 10.75
 x0[38] D2[6] 1
 x0[38] C1[0] 1
 x0[38] C3[0] 0.00048828125
 x0[38] C5[0] 1.34375
 x0[39] objective 0
 x0[39] D2[6] 1
 x0[39] C1[0] 1
 x0[39] C2[0] 1
 x0[40] objective 10.625
 x0[40] D2[6] 1
 x0[40] C1[0] 1
 x0[40] C3[0] -0.4970703125
 x0[40] C5[0] 1.328125
 x0[41] objective 15.25
 x0[41] D2[6] 1
 x0[41] C1[0] 1
 x0[41] C3[0] -0.49951171875
 x0[41] C5[0] 0.953125
 x0[42] objective 0
 x0[42] D2[7] 1
 x0[42] C1[1] 1
 x0[42] C2[1] 1
 x0[43] objective 4.75
 x0[43] D2[7] 1
 x0[43] C1[1] 1
 x0[43] C5[1] 1.1875
 x0[44] objective 7
 x0[44] D2[7] 1
 x0[44] C1[1] 1
 x0[44] C3[1] -0.0009765625
 x0[44] C5[1] 0.875
 x0[45] objective 0
 x0[45] D2[7] 1
 x0[45] C1[1] 1
 x0[45] C2[1] 1
 x0[46] objective 7
 x0[46] D2[7] 1
 x0[46] C1[1] 1
 x0[46] C3[1] -0.5
 x0[46] C5[1] 0.875
 x0[47] objective 11.5
 x0[47] D2[7] 1
 x0[47] C1[1] 1
 x0[47] C3[1] -0.5009765625
 x0[47] C5[1] 0.71875
 x0[48] objective 0
 x0[48] D2[8] 1
 x0[48] C1[0] 1
 x0[48] C2[0] 1
 x0[49] objective 8.583333333333332
 x0[49] D2[8] 1
 x0[49] C1[0] 1
 x0[49] C3[0] 0.0029296875
 x0[49] C5[0] 2.145833333333333
 x0[50] objective 10.9375
 x0[50] D2[8] 1
 x0[50] C1[0] 1
 x0[50] C3[0] 0.00048828125
 x0[50] C5[0] 1.3671875
 x0[51] objective 0
 x0[51] D2[8] 1
 x0[51] C1[0] 1
 x0[51] C2[0] 1
 x0[52] objective 10.916666666666668
 x0[52] D2[8] 1
 x0[52] C1[0] 1
 x0[52] C3[0] -0.4970703125
 x0[52] C5[0] 1.3645833333333335
 x0[53] objective 15.625
 x0[53] D2[8] 1
 x0[53] C1[0] 1
 x0[53] C3[0] -0.49951171875
 x0[53] C5[0] 0.9765625
 x0[54] objective 0
 x0[54] D2[9] 1
 x0[54] C1[1] 1
 x0[54] C2[1] 1
 x0[55] objective 4.75
 x0[55] D2[9] 1
 x0[55] C1[1] 1
 x0[55] C5[1] 1.1875
 x0[56] objective 7
 x0[56] D2[9] 1
 x0[56] C1[1] 1
 x0[56] C3[1] -0.0009765625
 x0[56] C5[1] 0.875
 x0[57] objective 0
 x0[57] D2[9] 1
 x0[57] C1[1] 1
 x0[57] C2[1] 1
 x0[58] objective 7
 x0[58] D2[9] 1
 x0[58] C1[1] 1
 x0[58] C3[1] -0.5
 x0[58] C5[1] 0.875
 x0[59] objective 11.5
 x0[59] D2[9] 1
 x0[59] C1[1] 1
 x0[59] C3[1] -0.5009765625
 x0[59] C5[1] 0.71875
 x0[60] objective 0
 x0[60] D2[10] 1
 x0[60] C1[0] 1
 x0[60] C2[0] 1
 x0[61] objective 9
 x0[61] D2[10] 1
 x0[61] C1[0] 1
 x0[61] C3[0] 0.0029296875
 x0[61] C5[0] 2.25
 x0[62] objective 11.333333333333332
 x0[62] D2[10] 1
 x0[62] C1[0] 1
 x0[62] C3[0] 0.00048828125
 x0[62] C5[0] 1.4166666666666665
 x0[63] objective 0
 x0[63] D2[10] 1
 x0[63] C1[0] 1
 x0[63] C2[0] 1
 x0[64] objective 11.75
 x0[64] D2[10] 1
 x0[64] C1[0] 1
 x0[64] C3[0] -0.4970703125
 x0[64] C5[0] 1.46875
 x0[65] objective 16.416666666666664
 x0[65] D2[10] 1
 x0[65] C1[0] 1
 x0[65] C3[0] -0.49951171875
 x0[65] C5[0] 1.0260416666666665
 x0[66] objective 0
 x0[66] D2[11] 1
 x0[66] C1[1] 1
 x0[66] C2[1] 1
 x0[67] objective 4.875
 x0[67] D2[11] 1
 x0[67] C1[1] 1
 x0[67] C5[1] 1.21875
 x0[68] objective 7
 x0[68] D2[11] 1
 x0[68] C1[1] 1
 x0[68] C3[1] -0.0009765625
 x0[68] C5[1] 0.875
 x0[69] objective 0
 x0[69] D2[11] 1
 x0[69] C1[1] 1
 x0[69] C2[1] 1
 x0[70] objective 7.25
 x0[70] D2[11] 1
 x0[70] C1[1] 1
 x0[70] C3[1] -0.5
 x0[70] C5[1] 0.90625
 x0[71] objective 11.5
 x0[71] D2[11] 1
 x0[71] C1[1] 1
 x0[71] C3[1] -0.5009765625
 x0[71] C5[1] 0.71875
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS D1[0] 1
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C4[0] 0.75
 RHS C4[1] 0.75
 RHS C5[0] 1.25
 RHS C5[1] 1.25
RANGES
BOUNDS
 UP BOUND z0[0] 1
 UP BOUND z0[1] 1
 UP BOUND z0[2] 1
 UP BOUND z0[3] 1
 UP BOUND z0[4] 1
 UP BOUND z0[5] 1
 UP BOUND x0[0] 1
 UP BOUND x0[1] 1
 UP BOUND x0[2] 1
 UP BOUND x0[3] 1
 UP BOUND x0[4] 1
 UP BOUND x0[5] 1
 UP BOUND x0[6] 1
 UP BOUND x0[7] 1
 UP BOUND x0[8] 1
 UP BOUND x0[9] 1
 UP BOUND x0[10] 1
 UP BOUND x0[11] 1
 UP BOUND x0[12] 1
 UP BOUND x0[13] 1
 UP BOUND x0[14] 1
 UP BOUND x0[15] 1
 UP BOUND x0[16] 1
 UP BOUND x0[17] 1
 UP BOUND x0[18] 1
 UP BOUND x0[19] 1
 UP BOUND x0[20] 1
 UP BOUND x0[21] 1
 UP BOUND x0[22] 1
 UP BOUND x0[23] 1
 UP BOUND x0[24] 1
 UP BOUND x0[25] 1
 UP BOUND x0[26] 1
 UP BOUND x0[27] 1
 UP BOUND x0[28] 1
 UP BOUND x0[29] 1
 UP BOUND x0[30] 1
 UP BOUND x0[31] 1
 UP BOUND x0[32] 1
 UP BOUND x0[33] 1
 UP BOUND x0[34] 1
 UP BOUND x0[35] 1
 UP BOUND x0[36] 1
 UP BOUND x0[37] 1
 UP BOUND x0[38] 1
 UP BOUND x0[39] 1
 UP BOUND x0[40] 1
 UP BOUND x0[41] 1
 UP BOUND x0[42] 1
 UP BOUND x0[43] 1
 UP BOUND x0[44] 1
 UP BOUND x0[45] 1
 UP BOUND x0[46] 1
 UP BOUND x0[47] 1
 UP BOUND x0[48] 1
 UP BOUND x0[49] 1
 UP BOUND x0[50] 1
 UP BOUND x0[51] 1
 UP BOUND x0[52] 1
 UP BOUND x0[53] 1
 UP BOUND x0[54] 1
 UP BOUND x0[55] 1
 UP BOUND x0[56] 1
 UP BOUND x0[57] 1
 UP BOUND x0[58] 1
 UP BOUND x0[59] 1
 UP BOUND x0[60] 1
 UP BOUND x0[61] 1
 UP BOUND x0[62] 1
 UP BOUND x0[63] 1
 UP BOUND x0[64] 1
 UP BOUND x0[65] 1
 UP BOUND x0[66] 1
 UP BOUND x0[67] 1
 UP BOUND x0[68] 1
 UP BOUND x0[69] 1
 UP BOUND x0[70] 1
 UP BOUND x0[71] 1
ENDATA
