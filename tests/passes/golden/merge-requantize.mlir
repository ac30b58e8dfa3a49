// to a finer exponent and back: one clamp
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%a = pienn.requantize %x {layer = "a"} : tensor<4xi8, #pienn.quantized<-6, 0>>
%b = pienn.requantize %a {layer = "b"} : tensor<4xi8, #pienn.quantized<-4, 0>>
return %b
=>
%b = pienn.requantize %x {minimum = -32, maximum = 32, layer = "b"} : tensor<4xi8, #pienn.quantized<-4, 0>>
return %b

// a relu behind a change of zero point
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%a = pienn.requantize %x {layer = "a"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%b = pienn.requantize %a {layer = "b"} : tensor<4xi8, #pienn.quantized<-3, -128>>
return %b
=>
%b = pienn.requantize %x {maximum = -64, layer = "b"} : tensor<4xi8, #pienn.quantized<-3, -128>>
return %b

// two roundings are not one: 1 becomes 1, then 1, but 0 at once
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%a = pienn.requantize %x {layer = "a"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%b = pienn.requantize %a {layer = "b"} : tensor<4xi8, #pienn.quantized<-2, 0>>
return %b
=>
unchanged

// tables take requantizes in
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%t = pienn.constant {name = "t"} : tensor<256xi8>
%a = pienn.requantize %x {layer = "a"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%b = pienn.lut %a, %t {layer = "b"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%c = pienn.requantize %b {minimum = 0, layer = "c"} : tensor<4xi8, #pienn.quantized<-2, 0>>
return %c
=>
%c.table = pienn.constant {name = "c.table", layer = "c"} : tensor<256xi8>
%c = pienn.lut %x, %c.table {layer = "c"} : tensor<4xi8, #pienn.quantized<-2, 0>>
return %c

// a value that others use stays
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%a = pienn.requantize %x {layer = "a"} : tensor<4xi8, #pienn.quantized<-6, 0>>
%b = pienn.requantize %a {layer = "b"} : tensor<4xi8, #pienn.quantized<-4, 0>>
return %a, %b
=>
unchanged
