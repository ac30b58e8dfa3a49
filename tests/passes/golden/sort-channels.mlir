// channels of two exponents, through relu, depthwise, flatten, to the layer that reads them
%x: tensor<3x3x2xi8, #pienn.quantized<-4, 0>>
%w = pienn.constant {name = "w"} : tensor<32x1x1x2xi8>
%b = pienn.constant {name = "b"} : tensor<32xi32>
%conv = pienn.conv2d %x, %w, %b {weight_exponents = [-6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7], layer = "conv"} : tensor<3x3x32xi8, #pienn.quantized<-4, 0>>
%relu = pienn.requantize %conv {minimum = 0, layer = "relu"} : tensor<3x3x32xi8, #pienn.quantized<-4, 0>>
%v = pienn.constant {name = "v"} : tensor<32x3x3x1xi8>
%c = pienn.constant {name = "c"} : tensor<32xi32>
%deep = pienn.conv2d %relu, %v, %c {groups = 32, weight_exponents = [-7 x 32], layer = "deep"} : tensor<1x1x32xi8, #pienn.quantized<-4, 0>>
%flat = pienn.reshape %deep {layer = "flat"} : tensor<32xi8, #pienn.quantized<-4, 0>>
%u = pienn.constant {name = "u"} : tensor<3x32xi8>
%d = pienn.constant {name = "d"} : tensor<3xi32>
%y = pienn.fully_connected %flat, %u, %d {weight_exponents = [-7, -6, -7], layer = "y"} : tensor<3xi8, #pienn.quantized<-4, 0>>
return %y
=>
%w = pienn.constant {name = "w"} : tensor<32x1x1x2xi8>
%b = pienn.constant {name = "b"} : tensor<32xi32>
%conv = pienn.conv2d %x, %w, %b {weight_exponents = [-7 x 16, -6 x 16], layer = "conv", order = [27, 13, 5, 23, 1, 31, 9, 19, 17, 15, 25, 3, 7, 11, 29, 21, 8, 24, 16, 12, 20, 28, 4, 2, 30, 0, 6, 14, 26, 22, 18, 10]} : tensor<3x3x32xi8, #pienn.quantized<-4, 0>>
%relu = pienn.requantize %conv {minimum = 0, layer = "relu", order = [27, 13, 5, 23, 1, 31, 9, 19, 17, 15, 25, 3, 7, 11, 29, 21, 8, 24, 16, 12, 20, 28, 4, 2, 30, 0, 6, 14, 26, 22, 18, 10]} : tensor<3x3x32xi8, #pienn.quantized<-4, 0>>
%v = pienn.constant {name = "v"} : tensor<32x3x3x1xi8>
%c = pienn.constant {name = "c"} : tensor<32xi32>
%deep = pienn.conv2d %relu, %v, %c {groups = 32, weight_exponents = [-7 x 32], layer = "deep", order = [27, 13, 5, 23, 1, 31, 9, 19, 17, 15, 25, 3, 7, 11, 29, 21, 8, 24, 16, 12, 20, 28, 4, 2, 30, 0, 6, 14, 26, 22, 18, 10]} : tensor<1x1x32xi8, #pienn.quantized<-4, 0>>
%flat = pienn.reshape %deep {layer = "flat", order = [27, 13, 5, 23, 1, 31, 9, 19, 17, 15, 25, 3, 7, 11, 29, 21, 8, 24, 16, 12, 20, 28, 4, 2, 30, 0, 6, 14, 26, 22, 18, 10]} : tensor<32xi8, #pienn.quantized<-4, 0>>
%u = pienn.constant {name = "u"} : tensor<3x32xi8>
%d = pienn.constant {name = "d"} : tensor<3xi32>
%y = pienn.fully_connected %flat, %u, %d {weight_exponents = [-7, -6, -7], layer = "y"} : tensor<3xi8, #pienn.quantized<-4, 0>>
return %y

// the channels of a sum keep one order in both operands
%x: tensor<8xi8, #pienn.quantized<-4, 0>>
%w = pienn.constant {name = "w"} : tensor<32x8xi8>
%b = pienn.constant {name = "b"} : tensor<32xi32>
%p = pienn.fully_connected %x, %w, %b {weight_exponents = [-6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7], layer = "p"} : tensor<32xi8, #pienn.quantized<-4, 0>>
%v = pienn.constant {name = "v"} : tensor<32x8xi8>
%c = pienn.constant {name = "c"} : tensor<32xi32>
%q = pienn.fully_connected %x, %v, %c {weight_exponents = [-7 x 32], layer = "q"} : tensor<32xi8, #pienn.quantized<-4, 0>>
%sum = pienn.add %p, %q {layer = "sum"} : tensor<32xi8, #pienn.quantized<-4, 0>>
%u = pienn.constant {name = "u"} : tensor<3x32xi8>
%d = pienn.constant {name = "d"} : tensor<3xi32>
%y = pienn.fully_connected %sum, %u, %d {weight_exponents = [-7, -6, -7], layer = "y"} : tensor<3xi8, #pienn.quantized<-4, 0>>
return %y
=>
%w = pienn.constant {name = "w"} : tensor<32x8xi8>
%b = pienn.constant {name = "b"} : tensor<32xi32>
%p = pienn.fully_connected %x, %w, %b {weight_exponents = [-7 x 16, -6 x 16], layer = "p", order = [7, 19, 3, 23, 21, 27, 13, 5, 9, 17, 31, 11, 25, 29, 15, 1, 8, 22, 18, 4, 24, 2, 6, 20, 28, 16, 12, 10, 14, 0, 26, 30]} : tensor<32xi8, #pienn.quantized<-4, 0>>
%v = pienn.constant {name = "v"} : tensor<32x8xi8>
%c = pienn.constant {name = "c"} : tensor<32xi32>
%q = pienn.fully_connected %x, %v, %c {weight_exponents = [-7 x 32], layer = "q", order = [7, 19, 3, 23, 21, 27, 13, 5, 9, 17, 31, 11, 25, 29, 15, 1, 8, 22, 18, 4, 24, 2, 6, 20, 28, 16, 12, 10, 14, 0, 26, 30]} : tensor<32xi8, #pienn.quantized<-4, 0>>
%sum = pienn.add %p, %q {layer = "sum", order = [7, 19, 3, 23, 21, 27, 13, 5, 9, 17, 31, 11, 25, 29, 15, 1, 8, 22, 18, 4, 24, 2, 6, 20, 28, 16, 12, 10, 14, 0, 26, 30]} : tensor<32xi8, #pienn.quantized<-4, 0>>
%u = pienn.constant {name = "u"} : tensor<3x32xi8>
%d = pienn.constant {name = "d"} : tensor<3xi32>
%y = pienn.fully_connected %sum, %u, %d {weight_exponents = [-7, -6, -7], layer = "y"} : tensor<3xi8, #pienn.quantized<-4, 0>>
return %y

// results of the graph keep their order
%x: tensor<8xi8, #pienn.quantized<-4, 0>>
%w = pienn.constant {name = "w"} : tensor<32x8xi8>
%b = pienn.constant {name = "b"} : tensor<32xi32>
%y = pienn.fully_connected %x, %w, %b {weight_exponents = [-6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7], layer = "y"} : tensor<32xi8, #pienn.quantized<-4, 0>>
return %y
=>
unchanged

// so do channels whose places matter: along a reduced, reversed or cut axis
%x: tensor<2x8xi8, #pienn.quantized<-4, 0>>
%w = pienn.constant {name = "w"} : tensor<32x8xi8>
%b = pienn.constant {name = "b"} : tensor<32xi32>
%p = pienn.fully_connected %x, %w, %b {weight_exponents = [-6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7, -6, -7], layer = "p"} : tensor<2x32xi8, #pienn.quantized<-4, 0>>
%y = pienn.slice %p {offsets = [0, 4], sizes = [2, 9], layer = "y"} : tensor<2x9xi8, #pienn.quantized<-4, 0>>
return %y
=>
unchanged

// where every block has one exponent already, nothing moves
%x: tensor<8xi8, #pienn.quantized<-4, 0>>
%w = pienn.constant {name = "w"} : tensor<32x8xi8>
%b = pienn.constant {name = "b"} : tensor<32xi32>
%p = pienn.fully_connected %x, %w, %b {weight_exponents = [-7 x 16, -6 x 16], layer = "p"} : tensor<32xi8, #pienn.quantized<-4, 0>>
%u = pienn.constant {name = "u"} : tensor<3x32xi8>
%d = pienn.constant {name = "d"} : tensor<3xi32>
%y = pienn.fully_connected %p, %u, %d {weight_exponents = [-7, -6, -7], layer = "y"} : tensor<3xi8, #pienn.quantized<-4, 0>>
return %y
=>
unchanged
