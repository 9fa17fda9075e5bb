import MQLock
import Testing
