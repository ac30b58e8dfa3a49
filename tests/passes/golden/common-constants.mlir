// equal tables are one table, tables of another kind are not
%x: tensor<4x4x2xi8, #pienn.quantized<-4, 0>>
%t = pienn.constant {name = "t"} : tensor<256xi8>
%u = pienn.constant {name = "u"} : tensor<256xi8>
%a = pienn.lut %x, %t {layer = "a"} : tensor<4x4x2xi8, #pienn.quantized<-4, 0>>
%b = pienn.lut %a, %u {layer = "b"} : tensor<4x4x2xi8, #pienn.quantized<-4, 0>>
%v = pienn.constant {name = "v"} : tensor<256xi8, #pienn.quantized<-4, 0>>
%c = pienn.reshape %v {layer = "c"} : tensor<8x32xi8, #pienn.quantized<-4, 0>>
return %b, %c
=>
%t = pienn.constant {name = "t"} : tensor<256xi8>
%a = pienn.lut %x, %t {layer = "a"} : tensor<4x4x2xi8, #pienn.quantized<-4, 0>>
%b = pienn.lut %a, %t {layer = "b"} : tensor<4x4x2xi8, #pienn.quantized<-4, 0>>
%v = pienn.constant {name = "v"} : tensor<256xi8, #pienn.quantized<-4, 0>>
%c = pienn.reshape %v {layer = "c"} : tensor<8x32xi8, #pienn.quantized<-4, 0>>
return %b, %c
