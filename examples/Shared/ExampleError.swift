/// Why an example gives up, in a sentence for the person who started it.
public struct ExampleError: Error, CustomStringConvertible {
    /// What happened.
    public let description: String

    /// Makes an error.
    public init(_ description: String) { self.description = description }
}
