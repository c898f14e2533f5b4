import CLinux
import Glibc

/// The arguments of this process as the system shows them to every user of the machine (`ps`).
public enum ArgumentVector {
    /// What stands for a secret.
    public static let mark = "***"

    /// Overwrites the end of an argument in place. Copies taken before keep it.
    /// - Parameters:
    ///   - index: which one; 0 is the name of the program.
    ///   - offset: how many bytes of it stay.
    public static func hide(_ index: Int, from offset: Int) {
        guard index > 0, index < Int(CommandLine.argc), offset >= 0,
            let text = CommandLine.unsafeArgv[index]
        else { return }
        let length = strlen(text)
        guard offset < length else { return }
        let secret = text + offset
        linux_wipe(secret, length - offset)
        for (place, byte) in mark.utf8.prefix(length - offset).enumerated() {
            secret[place] = CChar(bitPattern: byte)
        }
    }

    /// Overwrites the values of an option wherever it is given: `-x VALUE`, `-xVALUE`, `-x=VALUE`, `--name VALUE` and
    /// `--name=VALUE`.
    /// - Parameters:
    ///   - letter: the `x` of `-x`.
    ///   - name: the `name` of `--name`.
    ///   - flags: letters without value that may come ahead of it behind one dash.
    public static func hide(letter: Character, name: String, flags: String) {
        for (index, argument) in CommandLine.arguments.enumerated().dropFirst() {
            if argument == "--\(name)" {
                hide(index + 1, from: 0)
            } else if argument.hasPrefix("--\(name)=") {
                hide(index, from: name.utf8.count + 3)
            } else if argument.hasPrefix("-"), let end = argument.dropFirst().firstIndex(of: letter),
                argument[..<end].dropFirst().allSatisfy(flags.contains)
            {
                let value = argument[argument.index(after: end)...]
                let offset = argument.utf8.count - value.utf8.count + (value.first == "=" ? 1 : 0)
                if value.isEmpty { hide(index + 1, from: 0) } else { hide(index, from: offset) }
            }
        }
    }
}
