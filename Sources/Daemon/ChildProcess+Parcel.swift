extension ChildProcess.Program {
    /// The program as another process is told of it, without the descriptors, which it is told of by itself.
    public var packed: Parcel {
        var parcel = Parcel()
        parcel.add("path", path)
        for argument in arguments { parcel.add("argument", argument) }
        for entry in environment { parcel.add("environment", entry) }
        if let directory { parcel.add("directory", directory) }
        if let identity {
            parcel.add("user", identity.user)
            parcel.add("group", identity.group)
        }
        if announcesDescriptors { parcel.add("announces", "yes") }
        return parcel
    }

    /// What ``packed`` was made of; nil where it is something else.
    public init?(_ parcel: Parcel) {
        guard let path = parcel.text("path") else { return nil }
        self.init(path: path, arguments: parcel.texts("argument"))
        environment = parcel.texts("environment")
        directory = parcel.text("directory")
        if let user: UInt32 = parcel.number("user"), let group: UInt32 = parcel.number("group") {
            identity = Identity(user: user, group: group)
        }
        announcesDescriptors = parcel.text("announces") != nil
    }
}
