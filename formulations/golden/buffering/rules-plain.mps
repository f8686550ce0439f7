NAME rules-plain
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C2[5]
 L C4[0]
 L C4[1]
 L C4[2]
 L C4[3]
 L C4[4]
 L C4[5]
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
 L C1[24]
 L C1[25]
 L C1[26]
 L C1[27]
 L C1[28]
 L C1[29]
 L C1[30]
 L C1[31]
 L C1[32]
 L C1[33]
 L C1[34]
 L C1[35]
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
 L C5[0]
 L C5[1]
 L C5[2]
 L C8[0]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 y0[0,0] objective -2
 y0[0,0] C2[0] 1
 y0[0,0] C1[0] 1
 y0[0,0] C1[4] -1
 y0[0,0] C1[28] -1
 y0[0,1] objective -1
 y0[0,1] C2[0] 1
 y0[0,1] C1[1] 1
 y0[0,1] C1[5] -1
 y0[0,1] C1[29] -1
 y0[0,2] objective 0
 y0[0,2] C2[0] 1
 y0[0,2] C1[2] 1
 y0[0,2] C1[6] -1
 y0[0,2] C1[30] -1
 y0[0,3] objective 0
 y0[0,3] C2[0] 1
 y0[0,3] C1[3] 1
 y0[0,3] C1[7] -1
 y0[0,3] C1[31] -1
 y0[1,0] objective 0
 y0[1,0] C2[1] 1
 y0[1,0] C1[4] 1
 y0[1,0] C1[8] -1
 y0[1,0] C1[32] -1
 y0[1,1] objective 0
 y0[1,1] C2[1] 1
 y0[1,1] C1[5] 1
 y0[1,1] C1[9] -1
 y0[1,1] C1[33] -1
 y0[1,2] objective -3
 y0[1,2] C2[1] 1
 y0[1,2] C1[6] 1
 y0[1,2] C1[10] -1
 y0[1,2] C1[34] -1
 y0[1,3] objective 0
 y0[1,3] C2[1] 1
 y0[1,3] C1[7] 1
 y0[1,3] C1[11] -1
 y0[1,3] C1[35] -1
 y0[2,0] objective -2
 y0[2,0] C2[2] 1
 y0[2,0] C1[8] 1
 y0[2,0] C1[12] -1
 y0[2,0] C1[36] -1
 y0[2,1] objective 0
 y0[2,1] C2[2] 1
 y0[2,1] C1[9] 1
 y0[2,1] C1[13] -1
 y0[2,1] C1[37] -1
 y0[2,2] objective 0
 y0[2,2] C2[2] 1
 y0[2,2] C1[10] 1
 y0[2,2] C1[14] -1
 y0[2,2] C1[38] -1
 y0[2,3] objective -1.5
 y0[2,3] C2[2] 1
 y0[2,3] C1[11] 1
 y0[2,3] C1[15] -1
 y0[2,3] C1[39] -1
 y0[3,0] objective 0
 y0[3,0] C2[3] 1
 y0[3,0] C1[12] 1
 y0[3,0] C1[16] -1
 y0[3,0] C1[40] -1
 y0[3,1] objective -1
 y0[3,1] C2[3] 1
 y0[3,1] C1[13] 1
 y0[3,1] C1[17] -1
 y0[3,1] C1[41] -1
 y0[3,2] objective 0
 y0[3,2] C2[3] 1
 y0[3,2] C1[14] 1
 y0[3,2] C1[18] -1
 y0[3,2] C1[42] -1
 y0[3,3] objective 0
 y0[3,3] C2[3] 1
 y0[3,3] C1[15] 1
 y0[3,3] C1[19] -1
 y0[3,3] C1[43] -1
 y0[4,0] objective -2
 y0[4,0] C2[4] 1
 y0[4,0] C1[16] 1
 y0[4,0] C1[20] -1
 y0[4,0] C1[44] -1
 y0[4,1] objective 0
 y0[4,1] C2[4] 1
 y0[4,1] C1[17] 1
 y0[4,1] C1[21] -1
 y0[4,1] C1[45] -1
 y0[4,2] objective -3
 y0[4,2] C2[4] 1
 y0[4,2] C1[18] 1
 y0[4,2] C1[22] -1
 y0[4,2] C1[46] -1
 y0[4,3] objective 0
 y0[4,3] C2[4] 1
 y0[4,3] C1[19] 1
 y0[4,3] C1[23] -1
 y0[4,3] C1[47] -1
 y0[5,0] objective 0
 y0[5,0] C2[5] 1
 y0[5,0] C1[20] 1
 y0[5,1] objective 0
 y0[5,1] C2[5] 1
 y0[5,1] C1[21] 1
 y0[5,2] objective 0
 y0[5,2] C2[5] 1
 y0[5,2] C1[22] 1
 y0[5,3] objective -1.5
 y0[5,3] C2[5] 1
 y0[5,3] C1[23] 1
 z0[0,0] objective 3
 z0[0,0] C4[0] 1
 z0[0,0] C1[0] -1
 z0[0,1] objective 1
 z0[0,1] C4[0] 1
 z0[0,1] C1[1] -1
 z0[0,1] C8[0] 1
 z0[0,2] objective 2
 z0[0,2] C4[0] 1
 z0[0,2] C1[2] -1
 z0[0,3] objective 4
 z0[0,3] C4[0] 1
 z0[0,3] C1[3] -1
 z0[1,0] objective 3
 z0[1,0] C4[1] 1
 z0[1,0] C1[4] -1
 z0[1,0] C5[0] 1
 z0[1,1] objective 1
 z0[1,1] C4[1] 1
 z0[1,1] C1[5] -1
 z0[1,1] C5[0] 1
 z0[1,1] C8[0] 1
 z0[1,2] objective 2
 z0[1,2] C4[1] 1
 z0[1,2] C1[6] -1
 z0[1,2] C5[0] 1
 z0[1,3] objective 4
 z0[1,3] C4[1] 1
 z0[1,3] C1[7] -1
 z0[1,3] C5[0] 1
 z0[2,0] objective 3
 z0[2,0] C4[2] 1
 z0[2,0] C1[8] -1
 z0[2,1] objective 1
 z0[2,1] C4[2] 1
 z0[2,1] C1[9] -1
 z0[2,1] C8[0] 1
 z0[2,2] objective 2
 z0[2,2] C4[2] 1
 z0[2,2] C1[10] -1
 z0[2,3] objective 4
 z0[2,3] C4[2] 1
 z0[2,3] C1[11] -1
 z0[3,0] objective 3
 z0[3,0] C4[3] 1
 z0[3,0] C1[12] -1
 z0[3,0] C5[1] 1
 z0[3,1] objective 1
 z0[3,1] C4[3] 1
 z0[3,1] C1[13] -1
 z0[3,1] C5[1] 1
 z0[3,1] C8[0] 1
 z0[3,2] objective 2
 z0[3,2] C4[3] 1
 z0[3,2] C1[14] -1
 z0[3,2] C5[1] 1
 z0[3,3] objective 4
 z0[3,3] C4[3] 1
 z0[3,3] C1[15] -1
 z0[3,3] C5[1] 1
 z0[4,0] objective 3
 z0[4,0] C4[4] 1
 z0[4,0] C1[16] -1
 z0[4,1] objective 1
 z0[4,1] C4[4] 1
 z0[4,1] C1[17] -1
 z0[4,1] C8[0] 1
 z0[4,2] objective 2
 z0[4,2] C4[4] 1
 z0[4,2] C1[18] -1
 z0[4,3] objective 4
 z0[4,3] C4[4] 1
 z0[4,3] C1[19] -1
 z0[5,0] objective 3
 z0[5,0] C4[5] 1
 z0[5,0] C1[20] -1
 z0[5,0] C5[2] 1
 z0[5,1] objective 1
 z0[5,1] C4[5] 1
 z0[5,1] C1[21] -1
 z0[5,1] C5[2] 1
 z0[5,1] C8[0] 1
 z0[5,2] objective 2
 z0[5,2] C4[5] 1
 z0[5,2] C1[22] -1
 z0[5,2] C5[2] 1
 z0[5,3] objective 4
 z0[5,3] C4[5] 1
 z0[5,3] C1[23] -1
 z0[5,3] C5[2] 1
 d0[0,0] objective 0
 d0[0,0] C1[0] 1
 d0[0,0] C1[24] 1
 d0[0,1] objective 0
 d0[0,1] C1[1] 1
 d0[0,1] C1[25] 1
 d0[0,1] C8[0] 1
 d0[0,2] objective 0
 d0[0,2] C1[2] 1
 d0[0,2] C1[26] 1
 d0[0,3] objective 0
 d0[0,3] C1[3] 1
 d0[0,3] C1[27] 1
 d0[1,0] objective 0
 d0[1,0] C1[4] 1
 d0[1,0] C1[28] 1
 d0[1,0] C5[0] 1
 d0[1,1] objective 0
 d0[1,1] C1[5] 1
 d0[1,1] C1[29] 1
 d0[1,1] C5[0] 1
 d0[1,1] C8[0] 1
 d0[1,2] objective 0
 d0[1,2] C1[6] 1
 d0[1,2] C1[30] 1
 d0[1,2] C5[0] 1
 d0[1,3] objective 0
 d0[1,3] C1[7] 1
 d0[1,3] C1[31] 1
 d0[1,3] C5[0] 1
 d0[2,0] objective 0
 d0[2,0] C1[8] 1
 d0[2,0] C1[32] 1
 d0[2,1] objective 0
 d0[2,1] C1[9] 1
 d0[2,1] C1[33] 1
 d0[2,1] C8[0] 1
 d0[2,2] objective 0
 d0[2,2] C1[10] 1
 d0[2,2] C1[34] 1
 d0[2,3] objective 0
 d0[2,3] C1[11] 1
 d0[2,3] C1[35] 1
 d0[3,0] objective 0
 d0[3,0] C1[12] 1
 d0[3,0] C1[36] 1
 d0[3,0] C5[1] 1
 d0[3,1] objective 0
 d0[3,1] C1[13] 1
 d0[3,1] C1[37] 1
 d0[3,1] C5[1] 1
 d0[3,1] C8[0] 1
 d0[3,2] objective 0
 d0[3,2] C1[14] 1
 d0[3,2] C1[38] 1
 d0[3,2] C5[1] 1
 d0[3,3] objective 0
 d0[3,3] C1[15] 1
 d0[3,3] C1[39] 1
 d0[3,3] C5[1] 1
 d0[4,0] objective 0
 d0[4,0] C1[16] 1
 d0[4,0] C1[40] 1
 d0[4,1] objective 0
 d0[4,1] C1[17] 1
 d0[4,1] C1[41] 1
 d0[4,1] C8[0] 1
 d0[4,2] objective 0
 d0[4,2] C1[18] 1
 d0[4,2] C1[42] 1
 d0[4,3] objective 0
 d0[4,3] C1[19] 1
 d0[4,3] C1[43] 1
 d0[5,0] objective 0
 d0[5,0] C1[20] 1
 d0[5,0] C1[44] 1
 d0[5,0] C5[2] 1
 d0[5,1] objective 0
 d0[5,1] C1[21] 1
 d0[5,1] C1[45] 1
 d0[5,1] C5[2] 1
 d0[5,1] C8[0] 1
 d0[5,2] objective 0
 d0[5,2] C1[22] 1
 d0[5,2] C1[46] 1
 d0[5,2] C5[2] 1
 d0[5,3] objective 0
 d0[5,3] C1[23] 1
 d0[5,3] C1[47] 1
 d0[5,3] C5[2] 1
 k[0] objective 0
 k[0] C2[0] -1
 k[0] C2[1] -1
 k[0] C2[2] -1
 k[0] C2[3] -1
 k[0] C2[4] -1
 k[0] C2[5] -1
 k[0] C6[0] 1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -17
 RHS C4[0] 1
 RHS C4[1] 1
 RHS C4[2] 1
 RHS C4[3] 1
 RHS C4[4] 1
 RHS C4[5] 1
 RHS C6[0] 2
 RHS C1[1] 1
 RHS C1[25] 1
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
 UP BOUND k[0] 4
ENDATA
