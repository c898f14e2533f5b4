/// The server's side of one SASL exchange: what the client said goes in, what to do comes out. A value without I/O;
/// responses and challenges are in Base64, and the caller wipes the responses.
struct SASLExchange {
    /// What comes next.
    enum Step {
        /// Send this challenge and bring the response to it.
        case challenge(StaticString)
        /// The client has said all that the mechanism asks for.
        case done(Credentials)
        /// The client has to hear what is wrong.
        case fault(String)
    }

    private let mechanism: Mechanism
    /// The first of the two things that LOGIN asks for.
    private var name: [UInt8]?

    /// An exchange that has not begun.
    init(_ mechanism: Mechanism) {
        self.mechanism = mechanism
    }

    /// Begins it.
    /// - Parameter initial: the initial response, where the client sent one with its command.
    mutating func begin(_ initial: [UInt8]?) -> Step {
        if let initial { return read(initial) }
        return .challenge(mechanism == .login ? "VXNlcm5hbWU6" : "")
    }

    /// Takes the response to a challenge; `*` cancels the exchange.
    mutating func take(_ response: [UInt8]) -> Step {
        response == [UInt8(ascii: "*")] ? .fault("Authentication cancelled, mate") : read(response)
    }

    private mutating func read(_ response: [UInt8]) -> Step {
        if mechanism == .login { return takeLogin(response) }
        if mechanism == .plain {
            do throws(PlainMessage.Fault) {
                return .done(try PlainMessage.decode(response))
            } catch {
                return .fault(error.text)
            }
        }
        do throws(TokenMessage.Fault) {
            return .done(try TokenMessage.decode(response, mechanism))
        } catch {
            return .fault(error.text)
        }
    }

    private mutating func takeLogin(_ response: [UInt8]) -> Step {
        guard var decoded = Base64.decode(response) else { return .fault(PlainMessage.Fault.notBase64.text) }
        defer { decoded.wipe() }
        guard let name else {
            guard let prepared = SASLprep.prepare(decoded) else {
                return .fault(PlainMessage.Fault.invalidAuthenticationID.text)
            }
            guard !prepared.isEmpty else { return .fault(PlainMessage.Fault.emptyAuthenticationID.text) }
            self.name = prepared
            return .challenge("UGFzc3dvcmQ6")
        }
        guard !decoded.contains(0) else { return .fault(PlainMessage.Fault.trailingGarbage.text) }
        return .done(Credentials(authenticationID: name, authorizationID: nil, password: Secret(decoded)))
    }
}
