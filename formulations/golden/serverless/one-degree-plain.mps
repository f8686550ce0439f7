NAME one-degree-plain
ROWS
 N objective
 E D1[0]
 E D1[1]
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
 L C8[0]
 L C8[1]
 L D4[0]
 L D4[1]
 L D4[2]
 L D4[3]
 L D4[4]
 L D4[5]
 L D4[6]
 L D4[7]
 L D4[8]
 L D4[9]
 L D4[10]
 L D4[11]
 L D4[12]
 L D4[13]
 L D4[14]
 L D4[15]
 L C7[0]
 L C6[0]
 G D3[0]
 G D3[1]
COLUMNS
 MARKER0 'MARKER' 'INTORG'
 z0[0] objective 0
 z0[0] D1[0] 1
 z0[0] D2[0] -1
 z0[0] C8[0] 1
 z0[1] objective 0
 z0[1] D1[0] 1
 z0[1] D2[1] -1
 z0[1] C8[0] 1
 z0[2] objective 0
 z0[2] D1[0] 1
 z0[2] D2[2] -1
 z0[2] D4[0] 1
 z0[3] objective 0
 z0[3] D1[0] 1
 z0[3] D2[3] -1
 z0[3] D4[1] 1
 z0[4] objective 0
 z0[4] D1[0] 1
 z0[4] D2[4] -1
 z0[4] D4[2] 1
 z0[5] objective 0
 z0[5] D1[0] 1
 z0[5] D2[5] -1
 z0[5] D4[3] 1
 z0[6] objective 0
 z0[6] D1[0] 1
 z0[6] D2[6] -1
 z0[6] D4[4] 1
 z0[7] objective 0
 z0[7] D1[0] 1
 z0[7] D2[7] -1
 z0[7] D4[5] 1
 z0[8] objective 0
 z0[8] D1[0] 1
 z0[8] D2[8] -1
 z0[8] D4[6] 1
 z0[9] objective 0
 z0[9] D1[0] 1
 z0[9] D2[9] -1
 z0[9] D4[7] 1
 x0[0] objective 0
 x0[0] D2[0] 1
 x0[0] C1[0] 1
 x0[0] C2[0] 1
 x0[1] objective 13.25
 x0[1] D2[0] 1
 x0[1] C1[0] 1
 x0[1] C3[0] -0.96875
 x0[1] C5[0] 1.2636184692382812e-05
 x0[1] D3[0] -0.484375
 x0[2] objective 0
 x0[2] D2[1] 1
 x0[2] C1[0] 1
 x0[2] C2[0] 1
 x0[3] objective 13.75
 x0[3] D2[1] 1
 x0[3] C1[0] 1
 x0[3] C3[0] -0.96875
 x0[3] C4[0] 0.015625
 x0[3] C5[0] 1.3113021850585938e-05
 x0[3] D3[0] -0.515625
 x0[4] objective 0
 x0[4] D2[2] 1
 x0[4] C1[0] 1
 x0[4] C2[0] 1
 x0[5] objective 13.25
 x0[5] D2[2] 1
 x0[5] C1[0] 1
 x0[5] C3[0] -0.96875
 x0[5] C5[0] 1.2636184692382812e-05
 x0[5] D3[0] -0.484375
 x0[6] objective 0
 x0[6] D2[3] 1
 x0[6] C1[0] 1
 x0[6] C2[0] 1
 x0[7] objective 13.25
 x0[7] D2[3] 1
 x0[7] C1[0] 1
 x0[7] C3[0] -0.96875
 x0[7] C5[0] 1.2636184692382812e-05
 x0[7] D3[0] -0.484375
 x0[8] objective 0
 x0[8] D2[4] 1
 x0[8] C1[0] 1
 x0[8] C2[0] 1
 x0[9] objective 13.25
 x0[9] D2[4] 1
 x0[9] C1[0] 1
 x0[9] C3[0] -0.96875
 x0[9] C5[0] 1.2636184692382812e-05
 x0[9] D3[0] -0.484375
 x0[10] objective 0
 x0[10] D2[5] 1
 x0[10] C1[0] 1
 x0[10] C2[0] 1
 x0[11] objective 12.5
 x0[11] D2[5] 1
 x0[11] C1[0] 1
 x0[11] C3[0] -0.96875
 x0[11] C5[0] 1.1920928955078125e-05
 x0[11] D3[0] -0.4609375
 x0[12] objective 0
 x0[12] D2[6] 1
 x0[12] C1[0] 1
 x0[12] C2[0] 1
 x0[13] objective 12.5
 x0[13] D2[6] 1
 x0[13] C1[0] 1
 x0[13] C3[0] -0.96875
 x0[13] C5[0] 1.1920928955078125e-05
 x0[13] D3[0] -0.4609375
 x0[14] objective 0
 x0[14] D2[7] 1
 x0[14] C1[0] 1
 x0[14] C2[0] 1
 x0[15] objective 12.416666666666666
 x0[15] D2[7] 1
 x0[15] C1[0] 1
 x0[15] C3[0] -0.96875
 x0[15] C5[0] 1.1841456095377604e-05
 x0[15] D3[0] -0.4583333333333333
 x0[16] objective 0
 x0[16] D2[8] 1
 x0[16] C1[0] 1
 x0[16] C2[0] 1
 x0[17] objective 12.5
 x0[17] D2[8] 1
 x0[17] C1[0] 1
 x0[17] C3[0] -0.96875
 x0[17] C5[0] 1.1920928955078125e-05
 x0[17] D3[0] -0.4609375
 x0[18] objective 0
 x0[18] D2[9] 1
 x0[18] C1[0] 1
 x0[18] C2[0] 1
 x0[19] objective 13.25
 x0[19] D2[9] 1
 x0[19] C1[0] 1
 x0[19] C3[0] -0.96875
 x0[19] C5[0] 1.2636184692382812e-05
 x0[19] D3[0] -0.484375
 z1[0] objective 0
 z1[0] D1[1] 1
 z1[0] D2[10] -1
 z1[0] C8[1] 1
 z1[1] objective 0
 z1[1] D1[1] 1
 z1[1] D2[11] -1
 z1[1] C8[1] 1
 z1[2] objective 0
 z1[2] D1[1] 1
 z1[2] D2[12] -1
 z1[2] D4[8] 1
 z1[3] objective 0
 z1[3] D1[1] 1
 z1[3] D2[13] -1
 z1[3] D4[9] 1
 z1[4] objective 0
 z1[4] D1[1] 1
 z1[4] D2[14] -1
 z1[4] D4[10] 1
 z1[5] objective 0
 z1[5] D1[1] 1
 z1[5] D2[15] -1
 z1[5] D4[11] 1
 z1[6] objective 0
 z1[6] D1[1] 1
 z1[6] D2[16] -1
 z1[6] D4[12] 1
 z1[7] objective 0
 z1[7] D1[1] 1
 z1[7] D2[17] -1
 z1[7] D4[13] 1
 z1[8] objective 0
 z1[8] D1[1] 1
 z1[8] D2[18] -1
 z1[8] D4[14] 1
 z1[9] objective 0
 z1[9] D1[1] 1
 z1[9] D2[19] -1
 z1[9] D4[15] 1
 x1[0] objective 0
 x1[0] D2[10] 1
 x1[0] C1[1] 1
 x1[0] C2[1] 1
 x1[1] objective 24.25
 x1[1] D2[10] 1
 x1[1] C1[1] 1
 x1[1] C3[1] -0.9453125
 x1[1] C5[1] 2.3126602172851562e-05
 x1[1] D3[1] -0.90625
 x1[2] objective 0
 x1[2] D2[11] 1
 x1[2] C1[1] 1
 x1[2] C2[1] 1
 x1[3] objective 25.75
 x1[3] D2[11] 1
 x1[3] C1[1] 1
 x1[3] C3[1] -0.9453125
 x1[3] C4[1] 0.03125
 x1[3] C5[1] 2.4557113647460938e-05
 x1[3] D3[1] -0.953125
 x1[4] objective 0
 x1[4] D2[12] 1
 x1[4] C1[1] 1
 x1[4] C2[1] 1
 x1[5] objective 24.25
 x1[5] D2[12] 1
 x1[5] C1[1] 1
 x1[5] C3[1] -0.9453125
 x1[5] C5[1] 2.3126602172851562e-05
 x1[5] D3[1] -0.90625
 x1[6] objective 0
 x1[6] D2[13] 1
 x1[6] C1[1] 1
 x1[6] C2[1] 1
 x1[7] objective 22.5
 x1[7] D2[13] 1
 x1[7] C1[1] 1
 x1[7] C3[1] -0.9453125
 x1[7] C5[1] 2.1457672119140625e-05
 x1[7] D3[1] -0.8359375
 x1[8] objective 0
 x1[8] D2[14] 1
 x1[8] C1[1] 1
 x1[8] C2[1] 1
 x1[9] objective 22.5
 x1[9] D2[14] 1
 x1[9] C1[1] 1
 x1[9] C3[1] -0.9453125
 x1[9] C5[1] 2.1457672119140625e-05
 x1[9] D3[1] -0.8359375
 x1[10] objective 0
 x1[10] D2[15] 1
 x1[10] C1[1] 1
 x1[10] C2[1] 1
 x1[11] objective 22.083333333333332
 x1[11] D2[15] 1
 x1[11] C1[1] 1
 x1[11] C3[1] -0.9453125
 x1[11] C5[1] 2.106030782063802e-05
 x1[11] D3[1] -0.8229166666666666
 x1[12] objective 0
 x1[12] D2[16] 1
 x1[12] C1[1] 1
 x1[12] C2[1] 1
 x1[13] objective 22
 x1[13] D2[16] 1
 x1[13] C1[1] 1
 x1[13] C3[1] -0.9453125
 x1[13] C5[1] 2.09808349609375e-05
 x1[13] D3[1] -0.8203125
 x1[14] objective 0
 x1[14] D2[17] 1
 x1[14] C1[1] 1
 x1[14] C2[1] 1
 x1[15] objective 22.166666666666668
 x1[15] D2[17] 1
 x1[15] C1[1] 1
 x1[15] C3[1] -0.9453125
 x1[15] C5[1] 2.1139780680338543e-05
 x1[15] D3[1] -0.8255208333333334
 x1[16] objective 0
 x1[16] D2[18] 1
 x1[16] C1[1] 1
 x1[16] C2[1] 1
 x1[17] objective 22.5
 x1[17] D2[18] 1
 x1[17] C1[1] 1
 x1[17] C3[1] -0.9453125
 x1[17] C5[1] 2.1457672119140625e-05
 x1[17] D3[1] -0.8359375
 x1[18] objective 0
 x1[18] D2[19] 1
 x1[18] C1[1] 1
 x1[18] C2[1] 1
 x1[19] objective 24.25
 x1[19] D2[19] 1
 x1[19] C1[1] 1
 x1[19] C3[1] -0.9453125
 x1[19] C5[1] 2.3126602172851562e-05
 x1[19] D3[1] -0.890625
 MARKER1 'MARKER' 'INTEND'
 w[0] objective 0
 w[0] D4[7] -1
 w[0] D4[15] -1
 w[0] C7[0] 1
 w[1] objective 0
 w[1] D4[6] -1
 w[1] D4[14] -1
 w[1] C7[0] 1
 w[2] objective 0
 w[2] D4[5] -1
 w[2] D4[13] -1
 w[2] C7[0] 1
 w[3] objective 0
 w[3] D4[4] -1
 w[3] D4[12] -1
 w[3] C7[0] 1
 w[4] objective 0
 w[4] D4[3] -1
 w[4] D4[11] -1
 w[4] C7[0] 1
 w[5] objective 0
 w[5] D4[2] -1
 w[5] D4[10] -1
 w[5] C7[0] 1
 w[6] objective 0
 w[6] D4[1] -1
 w[6] D4[9] -1
 w[6] C7[0] 1
 w[7] objective 0
 w[7] D4[0] -1
 w[7] D4[8] -1
 w[7] C7[0] 1
 L[0] objective 0
 L[0] C6[0] 1
 L[0] D3[0] 1
 L[1] objective 0
 L[1] C6[0] 1
 L[1] D3[1] 1
RHS
 RHS D1[0] 1
 RHS D1[1] 1
 RHS C1[0] 1
 RHS C1[1] 1
 RHS C4[0] 1
 RHS C4[1] 1
 RHS C5[0] 0.95367431640625
 RHS C5[1] 0.95367431640625
 RHS C7[0] 1
 RHS C6[0] 1.4062500014048438
RANGES
BOUNDS
 UP BOUND z0[0] 1
 UP BOUND z0[1] 1
 UP BOUND z0[2] 1
 UP BOUND z0[3] 1
 UP BOUND z0[4] 1
 UP BOUND z0[5] 1
 UP BOUND z0[6] 1
 UP BOUND z0[7] 1
 UP BOUND z0[8] 1
 UP BOUND z0[9] 1
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
 UP BOUND z1[0] 1
 UP BOUND z1[1] 1
 UP BOUND z1[2] 1
 UP BOUND z1[3] 1
 UP BOUND z1[4] 1
 UP BOUND z1[5] 1
 UP BOUND z1[6] 1
 UP BOUND z1[7] 1
 UP BOUND z1[8] 1
 UP BOUND z1[9] 1
 UP BOUND x1[0] 1
 UP BOUND x1[1] 1
 UP BOUND x1[2] 1
 UP BOUND x1[3] 1
 UP BOUND x1[4] 1
 UP BOUND x1[5] 1
 UP BOUND x1[6] 1
 UP BOUND x1[7] 1
 UP BOUND x1[8] 1
 UP BOUND x1[9] 1
 UP BOUND x1[10] 1
 UP BOUND x1[11] 1
 UP BOUND x1[12] 1
 UP BOUND x1[13] 1
 UP BOUND x1[14] 1
 UP BOUND x1[15] 1
 UP BOUND x1[16] 1
 UP BOUND x1[17] 1
 UP BOUND x1[18] 1
 UP BOUND x1[19] 1
 UP BOUND w[0] 1
 UP BOUND w[1] 1
 UP BOUND w[2] 1
 UP BOUND w[3] 1
 UP BOUND w[4] 1
 UP BOUND w[5] 1
 UP BOUND w[6] 1
 UP BOUND w[7] 1
ENDATA
