/// A status of waitpid(2); the macros that decode it are not imported.
struct WaitStatus: Equatable {
    private let raw: Int32

    init(_ raw: Int32) { self.raw = raw }

    /// The signal that stopped the process, which has not ended.
    var stopSignal: Int32? { raw & 0xff == 0x7f ? (raw >> 8) & 0xff : nil }
    /// The signal that ended the process.
    var signal: Int32? { raw & 0x7f == 0 ? nil : raw & 0x7f }
    /// The status that a shell would show.
    var exitStatus: Int32 { signal.map(ExitStatus.ended(bySignal:)) ?? (raw >> 8) & 0xff }
}
