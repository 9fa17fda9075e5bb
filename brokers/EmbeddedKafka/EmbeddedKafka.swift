import CMQLockRdKafka
import Foundation
import MQLockLineReader

/// librdkafka's mock cluster as a process of its own, started by `brokers/with --kafka`.
///
///     EmbeddedKafka serve FOLDER [--brokers N] [--topic NAME:PARTITIONS]… [--attached]
///         until it is killed; --attached: or until its standard input ends
///     EmbeddedKafka control FOLDER WORD…                                    sends one line to the one that serves FOLDER
///
/// FOLDER gets `bootstrap`, the brokers' addresses, once they can be reached, and `control`, a Unix socket that takes
/// the lines of ``ControlCommand`` and answers each with `ok` or `error TEXT`.
@main
enum EmbeddedKafka {
    static func main() {
        // A client that closes before its answer comes must not end us.
        signal(SIGPIPE, SIG_IGN)
        var arguments = CommandLine.arguments.dropFirst()
        do throws(Failure) {
            let verb = arguments.popFirst()
            guard let folder = arguments.popFirst() else {
                throw Failure("usage: EmbeddedKafka serve|control FOLDER …")
            }
            // Addresses of Unix sockets are short; relative to the folder, ours always fits.
            guard chdir(folder) == 0 else { throw Failure("cannot enter \(folder): \(systemError())") }
            switch verb {
            case "serve": try serve(Settings(arguments))
            case "control": try ControlSocket.send(arguments.joined(separator: " "))
            default: throw Failure("it can serve or control")
            }
        } catch {
            FileHandle.standardError.write(Data("EmbeddedKafka: \(error.text)\n".utf8))
            exit(1)
        }
    }

    private static func serve(_ settings: Settings) throws(Failure) {
        let cluster = try MockCluster(brokers: settings.brokers)
        for topic in settings.topics { try cluster.perform(.createTopic(topic)) }
        let socket = try ControlSocket()
        do {
            try Data((cluster.bootstrap + "\n").utf8).write(to: URL(filePath: "bootstrap"), options: .atomic)
        } catch {
            throw Failure("cannot write the file bootstrap: \(error)")
        }
        if settings.isAttached {
            Thread.detachNewThread {
                for _ in LineReader() {}
                exit(0)
            }
        }
        socket.serve { line in
            do throws(Failure) {
                try cluster.perform(ControlCommand(line))
                return "ok"
            } catch {
                return "error \(error.text)"
            }
        }
    }
}

/// What to serve.
struct Settings {
    var brokers = 1
    var topics: [Topic] = []
    var isAttached = false

    init(_ arguments: ArraySlice<String>) throws(Failure) {
        var rest = arguments
        while let option = rest.popFirst() {
            if option == "--attached" {
                isAttached = true
                continue
            }
            guard let value = rest.popFirst() else { throw Failure("\(option) needs a value") }
            switch option {
            case "--brokers":
                guard let count = Int(value), (1...16).contains(count) else {
                    throw Failure("1 to 16 brokers, not \(value)")
                }
                brokers = count
            case "--topic": topics.append(try Topic(value))
            default: throw Failure("unknown option \(option)")
            }
        }
    }
}

/// A topic to create, `NAME:PARTITIONS`.
struct Topic: Equatable {
    let name: String
    let partitions: Int32

    init(_ text: String) throws(Failure) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, let partitions = Int32(parts[1]), (1...10_000).contains(partitions)
        else { throw Failure("a topic is NAME:PARTITIONS, not \(text)") }
        name = String(parts[0])
        self.partitions = partitions
    }
}

/// What went wrong, for people.
struct Failure: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

func systemError() -> String { String(cString: strerror(errno)) }
