import Glibc

/// What one input is tried on. Traps where a property does not hold.
typealias Target = @Sendable ([UInt8]) -> Void

/// The targets by name; Scripts/fuzz reads the names from these lines.
let targets: [String: Target] = [
    "answers": answers,
    "authentication": authentication,
    "capabilities": capabilities,
    "certificate": certificate,
    "configuration": configuration,
    "control": control,
    "destination": destination,
    "imap4-client": imap4Client,
    "imap4-server": imap4Server,
    "imap4-values": imap4Values,
    "lines": lines,
    "log": log,
    "lookup": lookup,
    "managesieve-client": manageSieveClient,
    "managesieve-server": manageSieveServer,
    "managesieve-values": manageSieveValues,
    "map-options": mapOptions,
    "names": names,
    "netstring": netstring,
    "network": network,
    "parcel": parcel,
    "pop3-client": pop3Client,
    "pop3-server": pop3Server,
    "popmap": popmap,
    "proxy-header": proxyHeader,
    "sasl": sasl,
    "table": table,
]

/// libFuzzer's own main takes one target a program. It starts itself again to minimise a corpus, without the words that
/// are no flags of its own: the name goes on in the environment.
private let variable = "PERDITION_FUZZ_TARGET"

private let target: Target = {
    guard let name = getenv(variable).map({ String(cString: $0) }), let target = targets[name] else {
        print("usage: Fuzz TARGET [FLAG…] [CORPUS…]", targets.keys.sorted().joined(separator: "\n"), separator: "\n")
        exit(2)
    }
    return target
}()

@_cdecl("LLVMFuzzerInitialize")
func initialize(
    _ count: UnsafeMutablePointer<Int32>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CStringPointer?>>
) -> Int32 {
    if count.pointee > 1, let name = arguments.pointee[1], targets[String(cString: name)] != nil {
        setenv(variable, name, 1)
        for index in 2..<max(Int(count.pointee), 2) { arguments.pointee[index - 1] = arguments.pointee[index] }
        count.pointee -= 1
        arguments.pointee[Int(count.pointee)] = nil
    }
    _ = target
    return 0
}

/// One word of argv.
typealias CStringPointer = UnsafeMutablePointer<CChar>

@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    target(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

/// Ends the run where a property does not hold; libFuzzer keeps the input.
func check(_ holds: Bool, _ property: @autoclosure () -> String, line: Int = #line, file: String = #fileID) {
    if !holds { fatalError("property broken: \(property().debugDescription) (\(file):\(line))") }
}
