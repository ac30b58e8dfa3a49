// results that nobody returns go, and their constants with them
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%t = pienn.constant {name = "t"} : tensor<256xi8>
%lut = pienn.lut %x, %t {layer = "lut"} : tensor<4xi8, #pienn.quantized<-4, 0>>
%sum = pienn.add %lut, %lut {layer = "sum"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%y = pienn.requantize %x {minimum = 0, layer = "y"} : tensor<4xi8, #pienn.quantized<-4, 0>>
return %y
=>
%y = pienn.requantize %x {minimum = 0, layer = "y"} : tensor<4xi8, #pienn.quantized<-4, 0>>
return %y
