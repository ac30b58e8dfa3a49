// relu6 behind a convolution, with a change of zero point
%x: tensor<4x4x2xi8, #pienn.quantized<-4, 0>>
%w = pienn.constant {name = "w"} : tensor<3x1x1x2xi8>
%b = pienn.constant {name = "b"} : tensor<3xi32>
%conv = pienn.conv2d %x, %w, %b {weight_exponents = [-5, -6, -7], layer = "conv"} : tensor<4x4x3xi8, #pienn.quantized<-4, 0>>
%relu6 = pienn.requantize %conv {maximum = -32, layer = "relu6"} : tensor<4x4x3xi8, #pienn.quantized<-4, -128>>
return %relu6
=>
%w = pienn.constant {name = "w"} : tensor<3x1x1x2xi8>
%b = pienn.constant {name = "b"} : tensor<3xi32>
%relu6 = pienn.conv2d %x, %w, %b {weight_exponents = [-5, -6, -7], maximum = -32, layer = "relu6"} : tensor<4x4x3xi8, #pienn.quantized<-4, -128>>
return %relu6

// a coarser exponent behind an exact sum: its saturation at 127 stays as a clamp
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%sum = pienn.add %x, %x {layer = "sum"} : tensor<4xi8, #pienn.quantized<-4, 0>>
%half = pienn.requantize %sum {layer = "half"} : tensor<4xi8, #pienn.quantized<-3, 0>>
return %half
=>
%half = pienn.add %x, %x {minimum = -64, maximum = 64, layer = "half"} : tensor<4xi8, #pienn.quantized<-3, 0>>
return %half

// behind a rounded sum it would round once instead of twice
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%sum = pienn.add %x, %x {layer = "sum"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%half = pienn.requantize %sum {layer = "half"} : tensor<4xi8, #pienn.quantized<-2, 0>>
return %half
=>
unchanged

// the unclamped sum is used elsewhere
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%sum = pienn.add %x, %x {layer = "sum"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%relu = pienn.requantize %sum {minimum = 0, layer = "relu"} : tensor<4xi8, #pienn.quantized<-3, 0>>
return %sum, %relu
=>
unchanged
