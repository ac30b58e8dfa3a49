// what moves nothing goes
%x: tensor<4x2xi8, #pienn.quantized<-4, 0>>
%a = pienn.reshape %x {layer = "a"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
%b = pienn.concat %a {axis = 0, layer = "b"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
%c = pienn.slice %b {offsets = [0, 0], sizes = [4, 2], layer = "c"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
%d = pienn.requantize %c {layer = "d"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
%y = pienn.add %d, %x {layer = "y"} : tensor<4x2xi8, #pienn.quantized<-3, 0>>
return %y
=>
%y = pienn.add %x, %x {layer = "y"} : tensor<4x2xi8, #pienn.quantized<-3, 0>>
return %y

// a relu of what is never negative
%x: tensor<4xi8, #pienn.quantized<-4, 0>>
%a = pienn.add %x, %x {minimum = 3, layer = "a"} : tensor<4xi8, #pienn.quantized<-3, 0>>
%b = pienn.requantize %a {minimum = 0, layer = "b"} : tensor<4xi8, #pienn.quantized<-3, 0>>
return %b
=>
%a = pienn.add %x, %x {minimum = 3, layer = "a"} : tensor<4xi8, #pienn.quantized<-3, 0>>
return %a

// an argument cannot be returned: the last copy stays
%x: tensor<4x2xi8, #pienn.quantized<-4, 0>>
%a = pienn.reshape %x {layer = "a"} : tensor<8xi8, #pienn.quantized<-4, 0>>
%b = pienn.reshape %a {layer = "b"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
return %b
=>
%b = pienn.reshape %x {layer = "b"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
return %b

// split behind concat
%p: tensor<4x2xi8, #pienn.quantized<-4, 0>>, %q: tensor<4x5xi8, #pienn.quantized<-4, 0>>
%all = pienn.concat %p, %q {axis = 1, layer = "all"} : tensor<4x7xi8, #pienn.quantized<-4, 0>>
%r = pienn.slice %all {offsets = [0, 2], sizes = [4, 5], layer = "r"} : tensor<4x5xi8, #pienn.quantized<-4, 0>>
%s = pienn.slice %all {offsets = [1, 0], sizes = [3, 2], layer = "s"} : tensor<3x2xi8, #pienn.quantized<-4, 0>>
%y = pienn.requantize %r {minimum = 0, layer = "y"} : tensor<4x5xi8, #pienn.quantized<-4, 0>>
return %y, %s
=>
%s = pienn.slice %p {offsets = [1, 0], sizes = [3, 2], layer = "s"} : tensor<3x2xi8, #pienn.quantized<-4, 0>>
%y = pienn.requantize %q {minimum = 0, layer = "y"} : tensor<4x5xi8, #pienn.quantized<-4, 0>>
return %y, %s

// concat behind split, in the same order
%x: tensor<4x7xi8, #pienn.quantized<-4, 0>>
%p = pienn.slice %x {offsets = [0, 0], sizes = [4, 3], layer = "p"} : tensor<4x3xi8, #pienn.quantized<-4, 0>>
%q = pienn.slice %x {offsets = [0, 3], sizes = [4, 2], layer = "q"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
%r = pienn.slice %x {offsets = [0, 5], sizes = [4, 2], layer = "r"} : tensor<4x2xi8, #pienn.quantized<-4, 0>>
%all = pienn.concat %p, %q, %r {axis = 1, layer = "all"} : tensor<4x7xi8, #pienn.quantized<-4, 0>>
%y = pienn.requantize %all {minimum = 0, layer = "y"} : tensor<4x7xi8, #pienn.quantized<-4, 0>>
return %y
=>
%y = pienn.requantize %x {minimum = 0, layer = "y"} : tensor<4x7xi8, #pienn.quantized<-4, 0>>
return %y

// in another order it is a real concat
%x: tensor<4x7xi8, #pienn.quantized<-4, 0>>
%p = pienn.slice %x {offsets = [0, 0], sizes = [4, 3], layer = "p"} : tensor<4x3xi8, #pienn.quantized<-4, 0>>
%q = pienn.slice %x {offsets = [0, 3], sizes = [4, 4], layer = "q"} : tensor<4x4xi8, #pienn.quantized<-4, 0>>
%all = pienn.concat %q, %p {axis = 1, layer = "all"} : tensor<4x7xi8, #pienn.quantized<-4, 0>>
return %all
=>
unchanged

// nested concats along one axis, transposes in a row, and one that moves only axes of one element
%x: tensor<2x1x3xi8, #pienn.quantized<-4, 0>>
%a = pienn.concat %x, %x {axis = 0, layer = "a"} : tensor<4x1x3xi8, #pienn.quantized<-4, 0>>
%b = pienn.concat %a, %x {axis = 0, layer = "b"} : tensor<6x1x3xi8, #pienn.quantized<-4, 0>>
%c = pienn.transpose %b {permutation = [2, 0, 1], layer = "c"} : tensor<3x6x1xi8, #pienn.quantized<-4, 0>>
%d = pienn.transpose %c {permutation = [1, 2, 0], layer = "d"} : tensor<6x1x3xi8, #pienn.quantized<-4, 0>>
%e = pienn.transpose %d {permutation = [1, 0, 2], layer = "e"} : tensor<1x6x3xi8, #pienn.quantized<-4, 0>>
return %e
=>
%b = pienn.concat %x, %x, %x {axis = 0, layer = "b"} : tensor<6x1x3xi8, #pienn.quantized<-4, 0>>
%e = pienn.reshape %b {layer = "e"} : tensor<1x6x3xi8, #pienn.quantized<-4, 0>>
return %e
