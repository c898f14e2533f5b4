/* NIS for Swift. The numbers of errors are macros that Swift sees as they are. */
#include <rpcsvc/ypclnt.h>
