import Glibc

/// Where a provider serves from: a directory with nothing in it.
public enum ServiceDirectory {
    /// A path of the options string, which begins where the provider was started, as it holds for ever.
    public static func absolute(_ path: String) -> String {
        guard !path.isEmpty, !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        return "\(String(cString: directory))/\(path)"
    }
}
