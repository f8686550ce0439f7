NAME misses-plain
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C2[5]
 L C2[6]
 L C2[7]
 L C2[8]
 E C6[0]
 E C1[0]
 E C1[1]
 E C1[2]
 E C1[3]
 E C1[4]
 E C1[5]
 E C1[6]
 E C1[7]
 E C1[8]
 E C1[9]
 E C1[10]
 E C1[11]
 E C1[12]
 E C1[13]
 E C1[14]
 E C1[15]
 E C1[16]
 E C1[17]
 E C1[18]
 E C1[19]
 E C1[20]
 E C1[21]
 E C1[22]
 E C1[23]
 E C1[24]
 E C1[25]
 E C1[26]
 E C1[27]
 E C1[28]
 E C1[29]
 E C1[30]
 E C1[31]
 E C1[32]
 E C1[33]
 E C1[34]
 E C1[35]
 L C1[36]
 L C1[37]
 L C1[38]
 L C1[39]
 L C1[40]
 L C1[41]
 L C1[42]
 L C1[43]
 L C1[44]
 L C1[45]
 L C1[46]
 L C1[47]
 L C1[48]
 L C1[49]
 L C1[50]
 L C1[51]
 L C1[52]
 L C1[53]
 L C1[54]
 L C1[55]
 L C1[56]
 L C1[57]
 L C1[58]
 L C1[59]
 L C1[60]
 L C1[61]
 L C1[62]
 L C1[63]
 L C1[64]
 L C1[65]
 L C1[66]
 L C1[67]
 L C1[68]
 L C1[69]
 L C1[70]
 L C1[71]
 G C3[0]
 G C3[1]
 G C3[2]
 G C3[3]
 G C3[4]
 G C3[5]
 G C3[6]
 G C3[7]
 G C3[8]
 G C3[9]
 G C3[10]
 G C3[11]
 G C3[12]
 G C3[13]
 G C3[14]
 L C3[15]
 L C3[16]
 L C3[17]
 L C3[18]
 L C3[19]
 L C3[20]
 L C3[21]
 L C3[22]
 L C3[23]
 L C3[24]
 L C3[25]
 L C3[26]
 L C3[27]
 L C3[28]
 L C3[29]
 L C3[30]
 L C3[31]
 L C3[32]
 L C3[33]
 L C3[34]
 L C3[35]
 L C3[36]
 L C3[37]
 L C3[38]
 L C3[39]
 L C3[40]
 L C3[41]
 L C3[42]
 L C3[43]
 L C3[44]
 L C3[45]
 L C3[46]
 L C3[47]
 L C3[48]
 L C3[49]
 L C3[50]
 L C7[0]
 L C7[1]
 L C7[2]
 L C7[3]
 L C7[4]
 L C7[5]
 E D1[0]
 E D1[1]
 E D1[2]
 E D1[3]
 E D1[4]
 E D1[5]
 E D1[6]
 E D1[7]
 E D1[8]
 E D1[9]
 E D1[10]
 E D1[11]
 E D1[12]
 E D1[13]
 E D1[14]
 E D1[15]
 E D1[16]
 E D1[17]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 y0[0,0] objective 0
 y0[0,0] C2[0] 1
 y0[0,0] C1[0] 1
 y0[0,0] C1[4] -1
 y0[0,0] C1[40] -1
 y0[0,0] C3[0] 1
 y0[0,1] objective 0
 y0[0,1] C2[0] 1
 y0[0,1] C1[1] 1
 y0[0,1] C1[5] -1
 y0[0,1] C1[41] -1
 y0[0,1] C3[2] 1
 y0[0,2] objective 0
 y0[0,2] C2[0] 1
 y0[0,2] C1[2] 1
 y0[0,2] C1[6] -1
 y0[0,2] C1[42] -1
 y0[0,3] objective 0
 y0[0,3] C2[0] 1
 y0[0,3] C1[3] 1
 y0[0,3] C1[7] -1
 y0[0,3] C1[43] -1
 y0[1,0] objective 0
 y0[1,0] C2[1] 1
 y0[1,0] C1[4] 1
 y0[1,0] C1[8] -1
 y0[1,0] C1[44] -1
 y0[1,0] C3[1] 1
 y0[1,1] objective 0
 y0[1,1] C2[1] 1
 y0[1,1] C1[5] 1
 y0[1,1] C1[9] -1
 y0[1,1] C1[45] -1
 y0[1,1] C3[3] 1
 y0[1,2] objective 0
 y0[1,2] C2[1] 1
 y0[1,2] C1[6] 1
 y0[1,2] C1[10] -1
 y0[1,2] C1[46] -1
 y0[1,3] objective 0
 y0[1,3] C2[1] 1
 y0[1,3] C1[7] 1
 y0[1,3] C1[11] -1
 y0[1,3] C1[47] -1
 y0[2,0] objective 0
 y0[2,0] C2[2] 1
 y0[2,0] C1[8] 1
 y0[2,0] C1[12] -1
 y0[2,0] C1[48] -1
 y0[2,1] objective 0
 y0[2,1] C2[2] 1
 y0[2,1] C1[9] 1
 y0[2,1] C1[13] -1
 y0[2,1] C1[49] -1
 y0[2,2] objective 0
 y0[2,2] C2[2] 1
 y0[2,2] C1[10] 1
 y0[2,2] C1[14] -1
 y0[2,2] C1[50] -1
 y0[2,2] C3[4] 1
 y0[2,3] objective 0
 y0[2,3] C2[2] 1
 y0[2,3] C1[11] 1
 y0[2,3] C1[15] -1
 y0[2,3] C1[51] -1
 y0[3,0] objective 0
 y0[3,0] C2[3] 1
 y0[3,0] C1[12] 1
 y0[3,0] C1[16] -1
 y0[3,0] C1[52] -1
 y0[3,0] C3[5] 1
 y0[3,1] objective 0
 y0[3,1] C2[3] 1
 y0[3,1] C1[13] 1
 y0[3,1] C1[17] -1
 y0[3,1] C1[53] -1
 y0[3,2] objective 0
 y0[3,2] C2[3] 1
 y0[3,2] C1[14] 1
 y0[3,2] C1[18] -1
 y0[3,2] C1[54] -1
 y0[3,3] objective 0
 y0[3,3] C2[3] 1
 y0[3,3] C1[15] 1
 y0[3,3] C1[19] -1
 y0[3,3] C1[55] -1
 y0[3,3] C3[7] 1
 y0[4,0] objective 0
 y0[4,0] C2[4] 1
 y0[4,0] C1[16] 1
 y0[4,0] C1[20] -1
 y0[4,0] C1[56] -1
 y0[4,0] C3[6] 1
 y0[4,1] objective 0
 y0[4,1] C2[4] 1
 y0[4,1] C1[17] 1
 y0[4,1] C1[21] -1
 y0[4,1] C1[57] -1
 y0[4,2] objective 0
 y0[4,2] C2[4] 1
 y0[4,2] C1[18] 1
 y0[4,2] C1[22] -1
 y0[4,2] C1[58] -1
 y0[4,3] objective 0
 y0[4,3] C2[4] 1
 y0[4,3] C1[19] 1
 y0[4,3] C1[23] -1
 y0[4,3] C1[59] -1
 y0[4,3] C3[8] 1
 y0[5,0] objective 0
 y0[5,0] C2[5] 1
 y0[5,0] C1[20] 1
 y0[5,0] C1[24] -1
 y0[5,0] C1[60] -1
 y0[5,1] objective 0
 y0[5,1] C2[5] 1
 y0[5,1] C1[21] 1
 y0[5,1] C1[25] -1
 y0[5,1] C1[61] -1
 y0[5,1] C3[9] 1
 y0[5,2] objective 0
 y0[5,2] C2[5] 1
 y0[5,2] C1[22] 1
 y0[5,2] C1[26] -1
 y0[5,2] C1[62] -1
 y0[5,3] objective 0
 y0[5,3] C2[5] 1
 y0[5,3] C1[23] 1
 y0[5,3] C1[27] -1
 y0[5,3] C1[63] -1
 y0[6,0] objective 0
 y0[6,0] C2[6] 1
 y0[6,0] C1[24] 1
 y0[6,0] C1[28] -1
 y0[6,0] C1[64] -1
 y0[6,0] C3[12] 1
 y0[6,1] objective 0
 y0[6,1] C2[6] 1
 y0[6,1] C1[25] 1
 y0[6,1] C1[29] -1
 y0[6,1] C1[65] -1
 y0[6,2] objective 0
 y0[6,2] C2[6] 1
 y0[6,2] C1[26] 1
 y0[6,2] C1[30] -1
 y0[6,2] C1[66] -1
 y0[6,2] C3[10] 1
 y0[6,3] objective 0
 y0[6,3] C2[6] 1
 y0[6,3] C1[27] 1
 y0[6,3] C1[31] -1
 y0[6,3] C1[67] -1
 y0[7,0] objective 0
 y0[7,0] C2[7] 1
 y0[7,0] C1[28] 1
 y0[7,0] C1[32] -1
 y0[7,0] C1[68] -1
 y0[7,0] C3[13] 1
 y0[7,1] objective 0
 y0[7,1] C2[7] 1
 y0[7,1] C1[29] 1
 y0[7,1] C1[33] -1
 y0[7,1] C1[69] -1
 y0[7,2] objective 0
 y0[7,2] C2[7] 1
 y0[7,2] C1[30] 1
 y0[7,2] C1[34] -1
 y0[7,2] C1[70] -1
 y0[7,2] C3[11] 1
 y0[7,3] objective 0
 y0[7,3] C2[7] 1
 y0[7,3] C1[31] 1
 y0[7,3] C1[35] -1
 y0[7,3] C1[71] -1
 y0[8,0] objective 0
 y0[8,0] C2[8] 1
 y0[8,0] C1[32] 1
 y0[8,1] objective 0
 y0[8,1] C2[8] 1
 y0[8,1] C1[33] 1
 y0[8,2] objective 0
 y0[8,2] C2[8] 1
 y0[8,2] C1[34] 1
 y0[8,3] objective 0
 y0[8,3] C2[8] 1
 y0[8,3] C1[35] 1
 y0[8,3] C3[14] 1
 z0[0,0] objective 1
 z0[0,0] C1[0] -1
 z0[0,0] C3[15] 1
 z0[0,1] objective 1
 z0[0,1] C1[1] -1
 z0[0,1] C3[16] 1
 z0[0,2] objective 1
 z0[0,2] C1[2] -1
 z0[0,2] C3[17] 1
 z0[0,3] objective 1
 z0[0,3] C1[3] -1
 z0[0,3] C3[18] 1
 z0[1,0] objective 1
 z0[1,0] C1[4] -1
 z0[1,0] C3[19] 1
 z0[1,1] objective 1
 z0[1,1] C1[5] -1
 z0[1,1] C3[20] 1
 z0[1,2] objective 1
 z0[1,2] C1[6] -1
 z0[1,2] C3[21] 1
 z0[1,3] objective 1
 z0[1,3] C1[7] -1
 z0[1,3] C3[22] 1
 z0[2,0] objective 1
 z0[2,0] C1[8] -1
 z0[2,0] C3[23] 1
 z0[2,1] objective 1
 z0[2,1] C1[9] -1
 z0[2,1] C3[24] 1
 z0[2,2] objective 1
 z0[2,2] C1[10] -1
 z0[2,2] C3[25] 1
 z0[2,3] objective 1
 z0[2,3] C1[11] -1
 z0[2,3] C3[26] 1
 z0[3,0] objective 1
 z0[3,0] C1[12] -1
 z0[3,0] C3[27] 1
 z0[3,1] objective 1
 z0[3,1] C1[13] -1
 z0[3,1] C3[28] 1
 z0[3,2] objective 1
 z0[3,2] C1[14] -1
 z0[3,2] C3[29] 1
 z0[3,3] objective 1
 z0[3,3] C1[15] -1
 z0[3,3] C3[30] 1
 z0[4,0] objective 1
 z0[4,0] C1[16] -1
 z0[4,0] C3[31] 1
 z0[4,1] objective 1
 z0[4,1] C1[17] -1
 z0[4,1] C3[32] 1
 z0[4,2] objective 1
 z0[4,2] C1[18] -1
 z0[4,2] C3[33] 1
 z0[4,3] objective 1
 z0[4,3] C1[19] -1
 z0[4,3] C3[34] 1
 z0[5,0] objective 1
 z0[5,0] C1[20] -1
 z0[5,0] C3[35] 1
 z0[5,1] objective 1
 z0[5,1] C1[21] -1
 z0[5,1] C3[36] 1
 z0[5,2] objective 1
 z0[5,2] C1[22] -1
 z0[5,2] C3[37] 1
 z0[5,3] objective 1
 z0[5,3] C1[23] -1
 z0[5,3] C3[38] 1
 z0[6,0] objective 1
 z0[6,0] C1[24] -1
 z0[6,0] C3[39] 1
 z0[6,1] objective 1
 z0[6,1] C1[25] -1
 z0[6,1] C3[40] 1
 z0[6,2] objective 1
 z0[6,2] C1[26] -1
 z0[6,2] C3[41] 1
 z0[6,3] objective 1
 z0[6,3] C1[27] -1
 z0[6,3] C3[42] 1
 z0[7,0] objective 1
 z0[7,0] C1[28] -1
 z0[7,0] C3[43] 1
 z0[7,1] objective 1
 z0[7,1] C1[29] -1
 z0[7,1] C3[44] 1
 z0[7,2] objective 1
 z0[7,2] C1[30] -1
 z0[7,2] C3[45] 1
 z0[7,3] objective 1
 z0[7,3] C1[31] -1
 z0[7,3] C3[46] 1
 z0[8,0] objective 1
 z0[8,0] C1[32] -1
 z0[8,0] C3[47] 1
 z0[8,1] objective 1
 z0[8,1] C1[33] -1
 z0[8,1] C3[48] 1
 z0[8,2] objective 1
 z0[8,2] C1[34] -1
 z0[8,2] C3[49] 1
 z0[8,3] objective 1
 z0[8,3] C1[35] -1
 z0[8,3] C3[50] 1
 d0[0,0] objective 0
 d0[0,0] C1[0] 1
 d0[0,0] C1[36] 1
 d0[0,1] objective 0
 d0[0,1] C1[1] 1
 d0[0,1] C1[37] 1
 d0[0,2] objective 0
 d0[0,2] C1[2] 1
 d0[0,2] C1[38] 1
 d0[0,3] objective 0
 d0[0,3] C1[3] 1
 d0[0,3] C1[39] 1
 d0[1,0] objective 0
 d0[1,0] C1[4] 1
 d0[1,0] C1[40] 1
 d0[1,1] objective 0
 d0[1,1] C1[5] 1
 d0[1,1] C1[41] 1
 d0[1,2] objective 0
 d0[1,2] C1[6] 1
 d0[1,2] C1[42] 1
 d0[1,3] objective 0
 d0[1,3] C1[7] 1
 d0[1,3] C1[43] 1
 d0[2,0] objective 0
 d0[2,0] C1[8] 1
 d0[2,0] C1[44] 1
 d0[2,1] objective 0
 d0[2,1] C1[9] 1
 d0[2,1] C1[45] 1
 d0[2,2] objective 0
 d0[2,2] C1[10] 1
 d0[2,2] C1[46] 1
 d0[2,3] objective 0
 d0[2,3] C1[11] 1
 d0[2,3] C1[47] 1
 d0[3,0] objective 0
 d0[3,0] C1[12] 1
 d0[3,0] C1[48] 1
 d0[3,1] objective 0
 d0[3,1] C1[13] 1
 d0[3,1] C1[49] 1
 d0[3,2] objective 0
 d0[3,2] C1[14] 1
 d0[3,2] C1[50] 1
 d0[3,3] objective 0
 d0[3,3] C1[15] 1
 d0[3,3] C1[51] 1
 d0[4,0] objective 0
 d0[4,0] C1[16] 1
 d0[4,0] C1[52] 1
 d0[4,1] objective 0
 d0[4,1] C1[17] 1
 d0[4,1] C1[53] 1
 d0[4,2] objective 0
 d0[4,2] C1[18] 1
 d0[4,2] C1[54] 1
 d0[4,3] objective 0
 d0[4,3] C1[19] 1
 d0[4,3] C1[55] 1
 d0[5,0] objective 0
 d0[5,0] C1[20] 1
 d0[5,0] C1[56] 1
 d0[5,1] objective 0
 d0[5,1] C1[21] 1
 d0[5,1] C1[57] 1
 d0[5,2] objective 0
 d0[5,2] C1[22] 1
 d0[5,2] C1[58] 1
 d0[5,3] objective 0
 d0[5,3] C1[23] 1
 d0[5,3] C1[59] 1
 d0[6,0] objective 0
 d0[6,0] C1[24] 1
 d0[6,0] C1[60] 1
 d0[6,1] objective 0
 d0[6,1] C1[25] 1
 d0[6,1] C1[61] 1
 d0[6,2] objective 0
 d0[6,2] C1[26] 1
 d0[6,2] C1[62] 1
 d0[6,3] objective 0
 d0[6,3] C1[27] 1
 d0[6,3] C1[63] 1
 d0[7,0] objective 0
 d0[7,0] C1[28] 1
 d0[7,0] C1[64] 1
 d0[7,1] objective 0
 d0[7,1] C1[29] 1
 d0[7,1] C1[65] 1
 d0[7,2] objective 0
 d0[7,2] C1[30] 1
 d0[7,2] C1[66] 1
 d0[7,3] objective 0
 d0[7,3] C1[31] 1
 d0[7,3] C1[67] 1
 d0[8,0] objective 0
 d0[8,0] C1[32] 1
 d0[8,0] C1[68] 1
 d0[8,1] objective 0
 d0[8,1] C1[33] 1
 d0[8,1] C1[69] 1
 d0[8,2] objective 0
 d0[8,2] C1[34] 1
 d0[8,2] C1[70] 1
 d0[8,3] objective 0
 d0[8,3] C1[35] 1
 d0[8,3] C1[71] 1
 a0[0] objective 0
 a0[0] C3[0] -1
 a0[0] C3[15] -1
 a0[0] D1[0] 1
 a0[0] D1[9] 1
 a0[1] objective 0
 a0[1] C3[1] -1
 a0[1] C3[19] -1
 a0[1] C7[0] 1
 a0[1] D1[0] 1
 a0[1] D1[10] 1
 a0[2] objective 0
 a0[2] C3[2] -1
 a0[2] C3[16] -1
 a0[2] C7[1] 1
 a0[2] D1[1] 1
 a0[2] D1[9] 1
 a0[3] objective 0
 a0[3] C3[3] -1
 a0[3] C3[20] -1
 a0[3] D1[1] 1
 a0[3] D1[10] 1
 a0[4] objective 0
 a0[4] C3[4] -1
 a0[4] C3[25] -1
 a0[4] D1[2] 1
 a0[4] D1[11] 1
 a0[5] objective 0
 a0[5] C3[5] -1
 a0[5] C3[27] -1
 a0[5] D1[3] 1
 a0[5] D1[12] 1
 a0[6] objective 0
 a0[6] C3[6] -1
 a0[6] C3[31] -1
 a0[6] C7[2] 1
 a0[6] D1[3] 1
 a0[6] D1[13] 1
 a0[7] objective 0
 a0[7] C3[7] -1
 a0[7] C3[30] -1
 a0[7] C7[3] 1
 a0[7] D1[4] 1
 a0[7] D1[12] 1
 a0[8] objective 0
 a0[8] C3[8] -1
 a0[8] C3[34] -1
 a0[8] D1[4] 1
 a0[8] D1[13] 1
 a0[9] objective 0
 a0[9] C3[9] -1
 a0[9] C3[36] -1
 a0[9] D1[5] 1
 a0[9] D1[14] 1
 a0[10] objective 0
 a0[10] C3[10] -1
 a0[10] C3[41] -1
 a0[10] D1[6] 1
 a0[10] D1[15] 1
 a0[11] objective 0
 a0[11] C3[11] -1
 a0[11] C3[45] -1
 a0[11] C7[4] 1
 a0[11] D1[6] 1
 a0[11] D1[16] 1
 a0[12] objective 0
 a0[12] C3[12] -1
 a0[12] C3[39] -1
 a0[12] C7[5] 1
 a0[12] D1[7] 1
 a0[12] D1[15] 1
 a0[13] objective 0
 a0[13] C3[13] -1
 a0[13] C3[43] -1
 a0[13] D1[7] 1
 a0[13] D1[16] 1
 a0[14] objective 0
 a0[14] C3[14] -1
 a0[14] C3[50] -1
 a0[14] D1[8] 1
 a0[14] D1[17] 1
 k[0] objective 0
 k[0] C2[0] -1
 k[0] C2[1] -1
 k[0] C2[2] -1
 k[0] C2[3] -1
 k[0] C2[4] -1
 k[0] C2[5] -1
 k[0] C2[6] -1
 k[0] C2[7] -1
 k[0] C2[8] -1
 k[0] C6[0] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS C6[0] 2
 RHS D1[0] 1
 RHS D1[1] 1
 RHS D1[2] 1
 RHS D1[3] 1
 RHS D1[4] 1
 RHS D1[5] 1
 RHS D1[6] 1
 RHS D1[7] 1
 RHS D1[8] 1
 RHS D1[9] 1
 RHS D1[10] 1
 RHS D1[11] 1
 RHS D1[12] 1
 RHS D1[13] 1
 RHS D1[14] 1
 RHS D1[15] 1
 RHS D1[16] 1
 RHS D1[17] 1
RANGES
BOUNDS
 UP BOUND y0[0,0] 1
 UP BOUND y0[0,1] 1
 UP BOUND y0[0,2] 1
 UP BOUND y0[0,3] 1
 UP BOUND y0[1,0] 1
 UP BOUND y0[1,1] 1
 UP BOUND y0[1,2] 1
 UP BOUND y0[1,3] 1
 UP BOUND y0[2,0] 1
 UP BOUND y0[2,1] 1
 UP BOUND y0[2,2] 1
 UP BOUND y0[2,3] 1
 UP BOUND y0[3,0] 1
 UP BOUND y0[3,1] 1
 UP BOUND y0[3,2] 1
 UP BOUND y0[3,3] 1
 UP BOUND y0[4,0] 1
 UP BOUND y0[4,1] 1
 UP BOUND y0[4,2] 1
 UP BOUND y0[4,3] 1
 UP BOUND y0[5,0] 1
 UP BOUND y0[5,1] 1
 UP BOUND y0[5,2] 1
 UP BOUND y0[5,3] 1
 UP BOUND y0[6,0] 1
 UP BOUND y0[6,1] 1
 UP BOUND y0[6,2] 1
 UP BOUND y0[6,3] 1
 UP BOUND y0[7,0] 1
 UP BOUND y0[7,1] 1
 UP BOUND y0[7,2] 1
 UP BOUND y0[7,3] 1
 UP BOUND y0[8,0] 1
 UP BOUND y0[8,1] 1
 UP BOUND y0[8,2] 1
 UP BOUND y0[8,3] 1
 UP BOUND z0[0,0] 1
 UP BOUND z0[0,1] 1
 UP BOUND z0[0,2] 1
 UP BOUND z0[0,3] 1
 UP BOUND z0[1,0] 1
 UP BOUND z0[1,1] 1
 UP BOUND z0[1,2] 1
 UP BOUND z0[1,3] 1
 UP BOUND z0[2,0] 1
 UP BOUND z0[2,1] 1
 UP BOUND z0[2,2] 1
 UP BOUND z0[2,3] 1
 UP BOUND z0[3,0] 1
 UP BOUND z0[3,1] 1
 UP BOUND z0[3,2] 1
 UP BOUND z0[3,3] 1
 UP BOUND z0[4,0] 1
 UP BOUND z0[4,1] 1
 UP BOUND z0[4,2] 1
 UP BOUND z0[4,3] 1
 UP BOUND z0[5,0] 1
 UP BOUND z0[5,1] 1
 UP BOUND z0[5,2] 1
 UP BOUND z0[5,3] 1
 UP BOUND z0[6,0] 1
 UP BOUND z0[6,1] 1
 UP BOUND z0[6,2] 1
 UP BOUND z0[6,3] 1
 UP BOUND z0[7,0] 1
 UP BOUND z0[7,1] 1
 UP BOUND z0[7,2] 1
 UP BOUND z0[7,3] 1
 UP BOUND z0[8,0] 1
 UP BOUND z0[8,1] 1
 UP BOUND z0[8,2] 1
 UP BOUND z0[8,3] 1
 UP BOUND d0[0,0] 1
 UP BOUND d0[0,1] 1
 UP BOUND d0[0,2] 1
 UP BOUND d0[0,3] 1
 UP BOUND d0[1,0] 1
 UP BOUND d0[1,1] 1
 UP BOUND d0[1,2] 1
 UP BOUND d0[1,3] 1
 UP BOUND d0[2,0] 1
 UP BOUND d0[2,1] 1
 UP BOUND d0[2,2] 1
 UP BOUND d0[2,3] 1
 UP BOUND d0[3,0] 1
 UP BOUND d0[3,1] 1
 UP BOUND d0[3,2] 1
 UP BOUND d0[3,3] 1
 UP BOUND d0[4,0] 1
 UP BOUND d0[4,1] 1
 UP BOUND d0[4,2] 1
 UP BOUND d0[4,3] 1
 UP BOUND d0[5,0] 1
 UP BOUND d0[5,1] 1
 UP BOUND d0[5,2] 1
 UP BOUND d0[5,3] 1
 UP BOUND d0[6,0] 1
 UP BOUND d0[6,1] 1
 UP BOUND d0[6,2] 1
 UP BOUND d0[6,3] 1
 UP BOUND d0[7,0] 1
 UP BOUND d0[7,1] 1
 UP BOUND d0[7,2] 1
 UP BOUND d0[7,3] 1
 UP BOUND d0[8,0] 1
 UP BOUND d0[8,1] 1
 UP BOUND d0[8,2] 1
 UP BOUND d0[8,3] 1
 UP BOUND a0[0] 1
 UP BOUND a0[1] 1
 UP BOUND a0[2] 1
 UP BOUND a0[3] 1
 UP BOUND a0[4] 1
 UP BOUND a0[5] 1
 UP BOUND a0[6] 1
 UP BOUND a0[7] 1
 UP BOUND a0[8] 1
 UP BOUND a0[9] 1
 UP BOUND a0[10] 1
 UP BOUND a0[11] 1
 UP BOUND a0[12] 1
 UP BOUND a0[13] 1
 UP BOUND a0[14] 1
 UP BOUND k[0] 4
ENDATA
