/// The options of a worker with what every login needs of them, made once.
///
/// An object, so that sessions share one: `Options` is a value of some sixty members, and copying it costs as much as a
/// part of a login.
final class Settings: Sendable {
    /// What the administrator set.
    let options: Options
    /// Whose clients they are for; nil without `--listen`.
    let listener: Listener?
    /// How names are changed, where no domain is to be added.
    let names: UserName
    /// The port of real servers as the log shows it.
    let outgoingPort: String
    /// `--imap_capability` in each state of a connection.
    private let imap: [String]

    /// Settings for one set of options.
    init(_ options: Options, for listener: Listener? = nil) {
        self.options = options
        self.listener = listener
        names = UserName(options)
        outgoingPort = options.outgoingPortText
        imap = Capabilities.State.all.map { Capabilities.imap4(options.imapCapability, $0, options.saslMechanisms) }
    }

    /// The capabilities of IMAP4, words between single blanks.
    func imapCapabilities(_ state: Capabilities.State) -> String { imap[state.number] }
}
