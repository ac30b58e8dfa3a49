// zero padding of an image belongs to the convolution
%x: tensor<4x4x2xi8, #pienn.quantized<-4, -128>>
%w = pienn.constant {name = "w"} : tensor<3x3x2x2xi8>
%b = pienn.constant {name = "b"} : tensor<3xi32>
%pad = pienn.pad %x {low = [1, 0, 0], high = [2, 1, 0], value = -128, layer = "pad"} : tensor<7x5x2xi8, #pienn.quantized<-4, -128>>
%conv = pienn.conv2d %pad, %w, %b {padding = [0, 1, 0, 0], weight_exponents = [-7, -7, -7], layer = "conv"} : tensor<5x5x3xi8, #pienn.quantized<-4, 0>>
return %conv
=>
%w = pienn.constant {name = "w"} : tensor<3x3x2x2xi8>
%b = pienn.constant {name = "b"} : tensor<3xi32>
%conv = pienn.conv2d %x, %w, %b {padding = [1, 1, 2, 1], weight_exponents = [-7, -7, -7], layer = "conv"} : tensor<5x5x3xi8, #pienn.quantized<-4, 0>>
return %conv

// padding with something else, or of channels, does not
%x: tensor<4x4x1xi8, #pienn.quantized<-4, 0>>
%w = pienn.constant {name = "w"} : tensor<1x3x3x1xi8>
%v = pienn.constant {name = "v"} : tensor<1x3x3x2xi8>
%b = pienn.constant {name = "b"} : tensor<1xi32>
%one = pienn.pad %x {low = [1, 0, 0], high = [0, 0, 0], value = 1, layer = "one"} : tensor<5x4x1xi8, #pienn.quantized<-4, 0>>
%p = pienn.conv2d %one, %w, %b {weight_exponents = [-7], layer = "p"} : tensor<3x2x1xi8, #pienn.quantized<-4, 0>>
%two = pienn.pad %x {low = [0, 0, 1], high = [0, 0, 0], value = 0, layer = "two"} : tensor<4x4x2xi8, #pienn.quantized<-4, 0>>
%q = pienn.conv2d %two, %v, %b {weight_exponents = [-7], layer = "q"} : tensor<2x2x1xi8, #pienn.quantized<-4, 0>>
return %p, %q
=>
unchanged

// an average counts the zeros of the pad; a maximum ignores -128
%x: tensor<4x4x1xi8, #pienn.quantized<-4, -128>>
%pad = pienn.pad %x {low = [1, 1, 0], high = [1, 1, 0], value = -128, layer = "pad"} : tensor<6x6x1xi8, #pienn.quantized<-4, -128>>
%a = pienn.avg_pool2d %pad {kernel = [3, 3], strides = [3, 3], layer = "a"} : tensor<2x2x1xi8, #pienn.quantized<-4, -128>>
%m = pienn.max_pool2d %pad {kernel = [3, 3], strides = [3, 3], layer = "m"} : tensor<2x2x1xi8, #pienn.quantized<-4, -128>>
return %a, %m
=>
%a = pienn.avg_pool2d %x {kernel = [3, 3], strides = [3, 3], padding = [1, 1, 1, 1], count_include_pad = true, layer = "a"} : tensor<2x2x1xi8, #pienn.quantized<-4, -128>>
%m = pienn.max_pool2d %x {kernel = [3, 3], strides = [3, 3], padding = [1, 1, 1, 1], layer = "m"} : tensor<2x2x1xi8, #pienn.quantized<-4, -128>>
return %a, %m

// an average with padding of its own that does not count
%x: tensor<4x4x1xi8, #pienn.quantized<-4, 0>>
%pad = pienn.pad %x {low = [1, 0, 0], high = [0, 0, 0], value = 0, layer = "pad"} : tensor<5x4x1xi8, #pienn.quantized<-4, 0>>
%a = pienn.avg_pool2d %pad {kernel = [3, 2], strides = [3, 2], padding = [1, 0, 0, 0], layer = "a"} : tensor<2x2x1xi8, #pienn.quantized<-4, 0>>
return %a
=>
unchanged

// a window of padding alone has no maximum
%x: tensor<4x4x1xi8, #pienn.quantized<-4, -128>>
%pad = pienn.pad %x {low = [2, 0, 0], high = [0, 0, 0], value = -128, layer = "pad"} : tensor<6x4x1xi8, #pienn.quantized<-4, -128>>
%m = pienn.max_pool2d %pad {kernel = [2, 2], strides = [2, 2], layer = "m"} : tensor<3x2x1xi8, #pienn.quantized<-4, -128>>
return %m
=>
unchanged

// pads in a row
%x: tensor<2xi8, #pienn.quantized<-4, 0>>
%p = pienn.pad %x {low = [1], high = [0], value = 5, layer = "p"} : tensor<3xi8, #pienn.quantized<-4, 0>>
%q = pienn.pad %p {low = [0], high = [3], value = 5, layer = "q"} : tensor<6xi8, #pienn.quantized<-4, 0>>
return %q
=>
%q = pienn.pad %x {low = [1], high = [3], value = 5, layer = "q"} : tensor<6xi8, #pienn.quantized<-4, 0>>
return %q
