// an operation on constants is computed now
%x: tensor<2xi8, #pienn.quantized<-4, 0>>
%c = pienn.constant {name = "c"} : tensor<1x2xi8, #pienn.quantized<-4, 0>>
%flat = pienn.reshape %c {layer = "flat"} : tensor<2xi8, #pienn.quantized<-4, 0>>
%y = pienn.add %x, %flat {layer = "y"} : tensor<2xi8, #pienn.quantized<-3, 0>>
return %y
=>
%flat = pienn.constant {name = "flat", layer = "flat"} : tensor<2xi8, #pienn.quantized<-4, 0>>
%y = pienn.add %x, %flat {layer = "y"} : tensor<2xi8, #pienn.quantized<-3, 0>>
return %y

// what the graph returns stays an operation
%x: tensor<2xi8, #pienn.quantized<-4, 0>>
%c = pienn.constant {name = "c"} : tensor<2xi8, #pienn.quantized<-4, 0>>
%y = pienn.requantize %c {layer = "y"} : tensor<2xi8, #pienn.quantized<-3, 0>>
return %y
=>
unchanged
