# What `make install` puts where: the public headers, the libraries behind them, the commands.
