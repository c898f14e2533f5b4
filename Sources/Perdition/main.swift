import Proxy

Perdition.main()
