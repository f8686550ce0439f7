NAME bypass-cap
ROWS
 N objective
 L C2[0]
 L C2[1]
 L C2[2]
 L C2[3]
 L C2[4]
 L C4[0]
 L C4[1]
 L C4[2]
 L C4[3]
 L C4[4]
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
 L D2[12]
 L D2[13]
 L D2[14]
 L D2[15]
 L D2[16]
 L D2[17]
 L D2[18]
 L D2[19]
 L D2[20]
 L D2[21]
 L D2[22]
 L D2[23]
 L D2[24]
 L D2[25]
 L D2[26]
 L D2[27]
 L D2[28]
 L D2[29]
 L D2[30]
 L D2[31]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 x0[0] objective -3
 x0[0] C4[1] -1
 x0[0] D2[0] 1
 x0[0] D2[16] 1
 x0[1] objective -1
 x0[1] C4[1] -1
 x0[1] D2[1] 1
 x0[1] D2[17] 1
 x0[2] objective -2
 x0[2] C4[1] -1
 x0[2] D2[2] 1
 x0[2] D2[18] 1
 x0[3] objective -4
 x0[3] C4[1] -1
 x0[3] D2[3] 1
 x0[3] D2[19] 1
 x0[4] objective -3
 x0[4] C4[2] -1
 x0[4] D2[4] 1
 x0[4] D2[20] 1
 x0[5] objective -1
 x0[5] C4[2] -1
 x0[5] D2[5] 1
 x0[5] D2[21] 1
 x0[6] objective -2
 x0[6] C4[2] -1
 x0[6] D2[6] 1
 x0[6] D2[22] 1
 x0[7] objective -4
 x0[7] C4[2] -1
 x0[7] D2[7] 1
 x0[7] D2[23] 1
 x0[8] objective -3
 x0[8] C4[3] -1
 x0[8] D2[8] 1
 x0[8] D2[24] 1
 x0[9] objective -1
 x0[9] C4[3] -1
 x0[9] D2[9] 1
 x0[9] D2[25] 1
 x0[10] objective -2
 x0[10] C4[3] -1
 x0[10] D2[10] 1
 x0[10] D2[26] 1
 x0[11] objective -4
 x0[11] C4[3] -1
 x0[11] D2[11] 1
 x0[11] D2[27] 1
 x0[12] objective -3
 x0[12] C4[4] -1
 x0[12] D2[12] 1
 x0[12] D2[28] 1
 x0[13] objective -2
 x0[13] C4[4] -1
 x0[13] D2[13] 1
 x0[13] D2[29] 1
 x0[14] objective -4
 x0[14] C4[4] -1
 x0[14] D2[14] 1
 x0[14] D2[30] 1
 x0[15] objective -4
 x0[15] D2[15] 1
 x0[15] D2[31] 1
 y0[0] objective 1
 y0[0] C2[0] 1
 y0[0] C4[0] 1
 y0[0] D2[0] -1
 y0[1] objective 0
 y0[1] C2[0] 1
 y0[1] C4[0] 1
 y0[1] D2[1] -1
 y0[2] objective 2
 y0[2] C2[0] 1
 y0[2] C4[0] 1
 y0[2] D2[2] -1
 y0[3] objective 4
 y0[3] C2[0] 1
 y0[3] C4[0] 1
 y0[3] D2[3] -1
 y0[4] objective 3
 y0[4] C2[1] 1
 y0[4] C4[1] 1
 y0[4] D2[4] -1
 y0[4] D2[16] -1
 y0[5] objective 1
 y0[5] C2[1] 1
 y0[5] C4[1] 1
 y0[5] D2[5] -1
 y0[5] D2[17] -1
 y0[6] objective -1
 y0[6] C2[1] 1
 y0[6] C4[1] 1
 y0[6] D2[6] -1
 y0[6] D2[18] -1
 y0[7] objective 4
 y0[7] C2[1] 1
 y0[7] C4[1] 1
 y0[7] D2[7] -1
 y0[7] D2[19] -1
 y0[8] objective 1
 y0[8] C2[2] 1
 y0[8] C4[2] 1
 y0[8] D2[8] -1
 y0[8] D2[20] -1
 y0[9] objective 1
 y0[9] C2[2] 1
 y0[9] C4[2] 1
 y0[9] D2[9] -1
 y0[9] D2[21] -1
 y0[10] objective 2
 y0[10] C2[2] 1
 y0[10] C4[2] 1
 y0[10] D2[10] -1
 y0[10] D2[22] -1
 y0[11] objective 2.5
 y0[11] C2[2] 1
 y0[11] C4[2] 1
 y0[11] D2[11] -1
 y0[11] D2[23] -1
 y0[12] objective 3
 y0[12] C2[3] 1
 y0[12] C4[3] 1
 y0[12] D2[12] -1
 y0[12] D2[24] -1
 y0[13] objective 0
 y0[13] C2[3] 1
 y0[13] C4[3] 1
 y0[13] D2[25] -1
 y0[14] objective 2
 y0[14] C2[3] 1
 y0[14] C4[3] 1
 y0[14] D2[13] -1
 y0[14] D2[26] -1
 y0[15] objective 4
 y0[15] C2[3] 1
 y0[15] C4[3] 1
 y0[15] D2[14] -1
 y0[15] D2[27] -1
 y0[16] objective 1
 y0[16] C2[4] 1
 y0[16] C4[4] 1
 y0[16] D2[28] -1
 y0[17] objective -1
 y0[17] C2[4] 1
 y0[17] C4[4] 1
 y0[17] D2[29] -1
 y0[18] objective 4
 y0[18] C2[4] 1
 y0[18] C4[4] 1
 y0[18] D2[15] -1
 y0[18] D2[30] -1
 y0[19] objective 2.5
 y0[19] D2[31] -1
 MARKER1 'MARKER' 'INTEND'
RHS
 RHS objective -17
 RHS C2[0] 2
 RHS C2[1] 2
 RHS C2[2] 2
 RHS C2[3] 2
 RHS C2[4] 2
 RHS C4[0] 1
 RHS C4[1] 1
 RHS C4[2] 1
 RHS C4[3] 1
 RHS C4[4] 1
RANGES
BOUNDS
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
 UP BOUND y0[0] 1
 UP BOUND y0[1] 1
 UP BOUND y0[2] 1
 UP BOUND y0[3] 1
 UP BOUND y0[4] 1
 UP BOUND y0[5] 1
 UP BOUND y0[6] 1
 UP BOUND y0[7] 1
 UP BOUND y0[8] 1
 UP BOUND y0[9] 1
 UP BOUND y0[10] 1
 UP BOUND y0[11] 1
 UP BOUND y0[12] 1
 UP BOUND y0[13] 1
 UP BOUND y0[14] 1
 UP BOUND y0[15] 1
 UP BOUND y0[16] 1
 UP BOUND y0[17] 1
 UP BOUND y0[18] 1
 UP BOUND y0[19] 1
ENDATA
