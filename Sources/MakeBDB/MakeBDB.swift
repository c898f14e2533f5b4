import ArgumentParser
import BDB
import PopmapFile

/// makebdb: makes a Berkeley DB file from lines of text, or lines from a file.
@main
struct MakeBDB: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "makebdb",
        abstract: "Make a Berkeley DB database from lines 'key:value' on standard input.",
        discussion: "A database of that name is replaced in one step: readers see the old one or the new one.")

    @Flag(name: .shortAndLong, help: "Print what the database holds, as the lines it is made of.")
    var undo = false

    @Argument(help: "The database file.")
    var bdbname: String

    static func main() {
        do {
            let command = try parse()
            let tool = PopmapTool<BDBHandle>(name: "makebdb", path: command.bdbname)
            if command.undo { try tool.dump() } else { try tool.make() }
        } catch let error as PopmapFileError {
            PopmapTool<BDBHandle>.fail("makebdb: \(error)")
        } catch let error where exitCode(for: error) == .success {
            print(message(for: error))
        } catch {
            PopmapTool<BDBHandle>.fail(fullMessage(for: error))
        }
    }
}
