// swift-tools-version: 6.2
import PackageDescription

/// The rules every target here lives by: Swift 6 mode, explicit existentials and imports, async functions that stay
/// on the caller's loop, and no warning left standing.
let rules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "perdition",
    products: [
        .executable(name: "perdition", targets: ["Perdition"]),
        .executable(name: "perdition-map-gdbm", targets: ["MapGDBM"]),
        .executable(name: "perdition-map-ldap", targets: ["MapLDAP"]),
        .executable(name: "perdition-map-mysql", targets: ["MapMySQL"]),
        .executable(name: "perdition-map-postgres", targets: ["MapPostgres"]),
        .executable(name: "perditionctl", targets: ["PerditionCtl"]),
        .executable(name: "perdition-auth-pam", targets: ["AuthPAM"]),
        .executable(name: "perdition-map-nis", targets: ["MapNIS"]),
        .executable(name: "perdition-map-regex", targets: ["MapRegex"]),
        .executable(name: "perdition-map-bdb", targets: ["MapBDB"]),
        .executable(name: "makegdbm", targets: ["MakeGDBM"]),
        .executable(name: "makebdb", targets: ["MakeBDB"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        // C, each header saying why Swift cannot call the original.
        // Every program is linked with its linker settings: functions are found at the start and not at their first call,
        // for which the dynamic linker would save all registers on the stack, and with them what a password left there.
        // What they are found by is read-only from then on.
        .target(
            name: "CLinux", path: "Sources/C/Linux",
            linkerSettings: [.unsafeFlags(["-Xlinker", "-z", "-Xlinker", "now"])]),
        .systemLibrary(
            name: "COpenSSL", path: "Sources/C/OpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CGDBM", path: "Sources/C/GDBM", providers: [.apt(["libgdbm-dev"])]),
        .systemLibrary(name: "CLDAP", path: "Sources/C/LDAP", providers: [.apt(["libldap2-dev"])]),
        .systemLibrary(
            name: "CMariaDB", path: "Sources/C/MariaDB", pkgConfig: "libmariadb",
            providers: [.apt(["libmariadb-dev"])]),
        .systemLibrary(name: "CPQ", path: "Sources/C/PQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CBDB", path: "Sources/C/BDB", providers: [.apt(["libdb-dev"])]),
        .systemLibrary(name: "CNIS", path: "Sources/C/NIS", pkgConfig: "libnsl", providers: [.apt(["libnsl-dev"])]),
        .systemLibrary(name: "CPAM", path: "Sources/C/PAM", providers: [.apt(["libpam0g-dev"])]),

        // What the programs are made of.
        .target(name: "Loop", dependencies: ["CLinux", collections], swiftSettings: rules),
        .target(name: "Daemon", dependencies: ["CLinux", logging], swiftSettings: rules),
        .target(
            name: "Lookup", dependencies: ["CLinux", "Loop", "PopmapTable", collections, logging], swiftSettings: rules),
        .target(
            name: "Provider", dependencies: ["CLinux", "Daemon", "Lookup", "Loop", "PopmapTable", arguments, logging],
            swiftSettings: rules),
        .target(name: "TLS", dependencies: ["CLinux", "COpenSSL"], swiftSettings: rules),
        .target(name: "QuotedText", swiftSettings: rules),
        .target(name: "PopmapTable", dependencies: ["CLinux"], swiftSettings: rules),
        .target(name: "PopmapFile", dependencies: ["CLinux", "PopmapTable"], swiftSettings: rules),
        .target(name: "GDBM", dependencies: ["CGDBM", "CLinux", "PopmapFile", "PopmapTable"], swiftSettings: rules),
        .target(name: "BDB", dependencies: ["CBDB", "CLinux", "PopmapFile", "PopmapTable"], swiftSettings: rules),
        .target(name: "SQL", dependencies: ["CLinux", "Lookup", "Loop", "Provider", logging], swiftSettings: rules),
        .target(name: "Control", swiftSettings: rules),
        .target(name: "Authentication", dependencies: ["Lookup"], swiftSettings: rules),
        .target(
            name: "Proxy",
            dependencies: [
                "Authentication", "CLinux", "Control", "Daemon", "Lookup", "Loop", "QuotedText", "TLS", collections,
                logging,
            ],
            swiftSettings: rules),

        // The programs.
        .executableTarget(name: "Perdition", dependencies: ["Proxy"], swiftSettings: rules),
        .executableTarget(
            name: "MapGDBM", dependencies: ["GDBM", "Lookup", "PopmapFile", "PopmapTable", "Provider", arguments],
            swiftSettings: rules),
        .executableTarget(
            name: "MapBDB", dependencies: ["BDB", "Lookup", "PopmapFile", "PopmapTable", "Provider", arguments],
            swiftSettings: rules),
        .executableTarget(
            name: "MapNIS", dependencies: ["CLinux", "CNIS", "Lookup", "Provider", arguments], swiftSettings: rules),
        .executableTarget(
            name: "MapRegex",
            dependencies: [
                "CLinux", "Lookup", "PopmapFile", "PopmapTable", "Provider", "QuotedText", arguments, logging,
            ],
            swiftSettings: rules),
        .executableTarget(
            name: "MapLDAP",
            dependencies: ["CLDAP", "CLinux", "Lookup", "Loop", "Provider", arguments, logging], swiftSettings: rules),
        .executableTarget(
            name: "MapMySQL", dependencies: ["CMariaDB", "Lookup", "Provider", "SQL", arguments], swiftSettings: rules),
        .executableTarget(
            name: "MapPostgres", dependencies: ["CLinux", "CPQ", "Provider", "SQL", arguments], swiftSettings: rules),
        .executableTarget(
            name: "AuthPAM",
            dependencies: ["Authentication", "CLinux", "CPAM", "Daemon", "Lookup", "Provider", arguments, logging],
            swiftSettings: rules),
        .executableTarget(name: "PerditionCtl", dependencies: ["CLinux", "Control", arguments], swiftSettings: rules),
        .executableTarget(name: "MakeBDB", dependencies: ["BDB", "PopmapFile", arguments], swiftSettings: rules),
        .executableTarget(name: "MakeGDBM", dependencies: ["GDBM", "PopmapFile", arguments], swiftSettings: rules),

        // Values first, then the loop over socket pairs, then real clients against real servers.
        .testTarget(name: "LoopTests", dependencies: ["Loop", "CLinux"], swiftSettings: rules),
        .testTarget(name: "DaemonTests", dependencies: ["Daemon", "CLinux", logging], swiftSettings: rules),
        .testTarget(
            name: "LookupTests", dependencies: ["Lookup", "Loop", "CLinux"], exclude: ["socketmap.py"],
            swiftSettings: rules),
        .testTarget(name: "ControlTests", dependencies: ["Control"], swiftSettings: rules),
        .testTarget(name: "AuthTests", dependencies: ["Authentication", "Lookup"], swiftSettings: rules),
        .testTarget(name: "TLSTests", dependencies: ["TLS", "CLinux", "COpenSSL"], swiftSettings: rules),
        .testTarget(
            name: "MapTests",
            dependencies: [
                "BDB", "CLinux", "GDBM", "Lookup", "Loop", "MapLDAP", "MapMySQL", "MapNIS", "MapPostgres", "MapRegex",
                "PopmapFile", "PopmapTable", "Provider", "QuotedText", "SQL",
            ],
            exclude: [
                "holder.py", "BDB/setup", "GDBM/setup", "Files/original.py", "LDAP/original.py", "LDAP/setup",
                "MySQL/setup",
                "NIS/setup", "Postgres/setup", "Regex/setup", "SQL/original.py", "SQL/server.py",
            ],
            swiftSettings: rules),
        .testTarget(
            name: "ProxyTests", dependencies: ["Proxy", "Lookup", "Loop", "TLS", "CLinux", logging],
            swiftSettings: rules),
        .testTarget(name: "Integration", dependencies: ["CLinux", "COpenSSL"], swiftSettings: rules),
    ]
)

// The fuzzers of Fuzz, which Scripts/fuzz builds with libFuzzer; not a part of any other build.
if Context.environment["PERDITION_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "Authentication", "CLinux", "Control", "Daemon", "Lookup", "Loop", "PopmapFile", "PopmapTable", "Proxy",
                "QuotedText", "TLS",
            ],
            path: "Fuzz", exclude: ["corpus", "dictionaries", "thread-sanitizer.c"], swiftSettings: rules))
}
